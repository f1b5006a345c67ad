import importlib

import pytest

import engine


@pytest.mark.parametrize("name", engine.__all__)
def test_every_public_name_is_there(name):
    assert getattr(engine, name) is not None
    assert name in dir(engine)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sing'"):
        engine.sing  # noqa: B018


def test_module_of_a_function_does_not_hide_it():
    importlib.import_module("engine.present")
    from engine import present_file

    assert callable(present_file)
