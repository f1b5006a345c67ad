"""Synthetic heads: their traits, landmark map, files and geometry, without a renderer."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import topology
from models.synth import __main__ as command
from models.synth import head, kit, landmarks, lens, mesh, ranges, raster, store, traits

RENDERER = Path(".venv-render/bin/python")


def made(seed: int = 7, count: int = 2, px: int = 16) -> store.Made:
    rng = np.random.default_rng(seed)
    flows = rng.normal(0, 3, (count, px, px, 2)).astype(np.float16)
    flows[:, :4] = np.nan
    return store.Made(
        seed,
        rng.integers(0, 256, (px, px, 3), np.uint8),
        rng.integers(0, 256, (count, px, px, 3), np.uint8),
        rng.normal(8, 3, (count + 1, 478, 3)).astype(np.float32),
        rng.integers(0, 256, (count + 1, px, px), np.uint8),
        rng.integers(0, 256, (count + 1, px, px), np.uint8),
        flows,
        {"who": "nobody"},
    )


def square_grid(side: int = 3) -> mesh.Surface:
    """A flat square of quads in the plane z = 0, side by side."""
    index = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    uv = np.zeros((side * side, 4, 2))
    return mesh.Surface(index.size, quads.reshape(-1, 4), uv)


def test_a_file_gives_back_what_was_saved(tmp_path):
    before = made()
    path = store.save(tmp_path / "new", before)
    after = store.load(path)
    for field in dataclasses.fields(before):
        np.testing.assert_equal(getattr(after, field.name), getattr(before, field.name))
    assert path.name == "000007.npz" and list(store.people(path.parent)) == [path]


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "savez_compressed", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save(tmp_path, made())
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_other_shapes_or_kinds_are_refused():
    good = made()
    with pytest.raises(store.StoreError, match=r"flows is float32 .* expected float16"):
        dataclasses.replace(good, flows=good.flows.astype(np.float32))
    with pytest.raises(store.StoreError, match=r"mattes .*\(2, 16, 16\), expected uint8 \(3,"):
        dataclasses.replace(good, mattes=good.mattes[1:])


def test_files_that_are_not_people_give_one_error(tmp_path):
    with pytest.raises(store.StoreError, match="000001"):
        store.load(tmp_path / "000001.npz")
    (tmp_path / "000002.npz").write_bytes(b"no archive")
    with pytest.raises(store.StoreError, match="000002"):
        store.load(tmp_path / "000002.npz")
    np.savez(tmp_path / "000003.npz", seed=3)
    with pytest.raises(store.StoreError, match="not of format 1"):
        store.load(tmp_path / "000003.npz")


def test_reading_needs_neither_blender_nor_pillow():
    code = (
        "import sys, models.synth.store; print({'bpy', 'PIL', 'scipy', 'cv2'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_a_seed_is_a_person():
    assert traits.person(5) == traits.person(5)
    assert traits.shot(traits.person(5), 3) == traits.shot(traits.person(5), 3)
    people = [traits.person(seed) for seed in range(20)]
    assert (
        len(
            {
                p.shape["mouth/mouth-scale-horiz-incr"]
                for p in people
                if "mouth/mouth-scale-horiz-incr" in p.shape
            }
        )
        > 3
    )
    assert len({p.skin.gain for p in people}) == 20
    assert {p.hair for p in people} <= {*ranges.HAIR["female"], *ranges.HAIR["male"]}


@pytest.mark.parametrize("seed", range(12))
def test_traits_stay_in_their_ranges(seed):
    who = traits.person(seed)
    macro = [w for name, w in who.shape.items() if name.startswith("macrodetails/")]
    assert sum(macro) == pytest.approx(1.0) and min(macro) >= 0
    assert all(0 <= w <= 1.6 for w in who.shape.values())
    assert 180 / 320 <= who.stage.face_width <= 220 / 320
    assert 1 <= len(who.stage.lights) <= 4
    calm = traits.portrait(who)
    assert calm.shut == 1.0 and calm.blink == (0.0, 0.0) and "mouth-open" not in calm.mouth
    for number in range(6):
        seen = traits.shot(who, number)
        assert np.abs(np.subtract(seen.head, who.stage.head)).max() <= 8.0
        assert all(0 <= lid <= 1 for lid in seen.blink)


def test_shots_show_every_kind_of_mouth():
    shots = [traits.shot(traits.person(seed), n) for seed in range(30) for n in range(6)]
    units = {name for s in shots for name, weight in s.mouth.items() if weight > 0.1}
    assert {name for kind in ranges.MOUTHS.values() for name in kind} <= units
    assert 0.05 < np.mean([s.shut for s in shots]) < 0.2
    assert 0.1 < np.mean([s.blink[0] > 0 for s in shots]) < 0.35


def test_the_landmark_map_is_whole():
    table = landmarks.load()
    assert table.vertices.shape == table.weights.shape == (478, 3)
    np.testing.assert_allclose(table.weights.sum(axis=1), 1.0, atol=1e-5)
    assert table.weights.min() >= -1e-5
    irises = np.concatenate(topology.IRISES)
    assert (table.vertices[irises] >= table.skin_points).all()
    assert (np.delete(table.vertices, irises, axis=0) < table.skin_points).all()


def test_inner_lips_share_corners_and_nothing_else():
    table = landmarks.load()
    upper, lower = topology.UPPER_INNER_LIP, topology.LOWER_INNER_LIP
    points = np.random.default_rng(1).normal(size=(table.skin_points, 3))
    places = table.place(points, np.zeros((table.eye_points, 3)))
    np.testing.assert_allclose(places[upper[[0, -1]]], places[lower[[0, -1]]], atol=1e-6)
    inner = set(table.vertices[upper[1:-1]].ravel()) & set(table.vertices[lower[1:-1]].ravel())
    ends = set(table.vertices[[78, 308]].ravel())
    assert inner <= ends


def test_a_map_for_another_mesh_is_refused():
    table = landmarks.load()
    with pytest.raises(landmarks.MapError, match="5 and 6 points of skin and eyes, expected"):
        table.place(np.zeros((5, 3)), np.zeros((6, 3)))
    with pytest.raises(landmarks.MapError, match=r"weights has shape \(477, 3\)"):
        dataclasses.replace(table, weights=table.weights[1:])


def test_subdivision_keeps_flat_flat_and_counts_right():
    flat = square_grid()
    steps = mesh.subdivide(flat)
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    fine = steps.apply(np.column_stack([grid, np.zeros(16)]))
    assert len(fine) == steps.fine.count == 16 + 24 + 9
    assert len(steps.fine.quads) == 36 and np.allclose(fine[:, 2], 0)
    # An inner point of an even grid stays where it is.
    np.testing.assert_allclose(fine[5], (1.0, 1.0, 0.0))
    assert (mesh.pieces(steps.fine) == 36).all()


def test_framing_puts_the_face_where_it_was_asked():
    box = np.random.default_rng(2).normal(0, 0.05, (50, 3))
    seen = lens.framing(0.8, box, 0.6, (0.5, 0.55), 320).project(box)
    low, high = seen.min(axis=0), seen.max(axis=0)
    assert high[0] - low[0] == pytest.approx(0.6 * 320)
    assert (low + high)[0] / 2 == pytest.approx(160) and (low + high)[1] / 2 == pytest.approx(176)


def triangle(depth: float, shift: float = 0.0) -> raster.Layer:
    points = np.array([[2.0, 2.0, depth], [2.0, 30.0, depth], [30.0, 2.0, 2 * depth]])
    return raster.Layer("t", points + np.array([shift, 0.0, 0.0]), np.array([[0, 1, 2]]))


def test_the_nearest_triangle_is_seen_and_backs_are_not():
    far, near = triangle(2.0), triangle(1.0)
    seen = raster.see([far, near], 32)
    assert seen.layer[5, 5] == 1 and seen.layer[31, 31] == -1
    assert np.isinf(seen.depth[31, 31]) and 1.0 < seen.depth[5, 5] < 2.0
    np.testing.assert_allclose(seen.share[seen.layer == 1].sum(axis=1), 1.0)
    back = dataclasses.replace(near, triangles=near.triangles[:, ::-1])
    assert raster.see([back], 32).layer.max() == -1
    assert raster.see([dataclasses.replace(back, one_sided=False)], 32).layer.max() == 0


def test_flow_leads_to_the_same_point_or_nowhere():
    here, there = triangle(1.0), triangle(1.0, shift=-1.5)
    shot, portrait = raster.see([here], 32), raster.see([there], 32)
    flow = raster.flow(shot, portrait, [there])
    known = ~np.isnan(flow[..., 0])
    assert known.any() and not known[shot.layer < 0].any()
    np.testing.assert_allclose(flow[known], np.tile((-1.5, 0.0), (known.sum(), 1)), atol=0.01)
    hidden = raster.flow(shot, raster.see([there, triangle(0.1)], 32), [there])
    assert np.isnan(hidden[5:15, 5:10]).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("make out --assets nowhere --people 3:3", "'3:3' is not A:B with A less than B"),
        ("make out --assets nowhere --people 0:2 --shots 0", "whole number in 1 to 100"),
        ("make out --assets nowhere --people 0:2", "no base.obj in nowhere"),
        ("sheet nowhere out.png", "no people in nowhere"),
    ],
)
def test_bad_flags_give_one_clear_error(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(words.split())
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.shared
def test_a_small_person_is_made_and_its_lips_meet(shared_data, tmp_path):
    own = importlib.util.find_spec("bpy") is not None
    if not own and not RENDERER.exists():
        pytest.skip("no bpy here and no .venv-render (make venv-render)")
    python = sys.executable if own else str(RENDERER)
    words = f"-m models.synth make {tmp_path} --people 1:2 --shots 1 --px 96 --samples 1"
    assets = str(shared_data / "facemodel" / "makehuman")
    subprocess.run([python, *words.split(), "--assets", assets], check=True, timeout=300)
    person = store.load(store.path_of(tmp_path, 1))
    points = person.landmarks[0]
    gap = points[topology.UPPER_INNER_LIP] - points[topology.LOWER_INNER_LIP]
    width = np.ptp(points[:468, 0])
    assert np.abs(gap[:, :2]).max() < 0.02 * width
    assert np.abs(width / 96 - traits.person(1).stage.face_width) < 0.05
    assert person.mattes[0, 48, 48] == 255 and np.isfinite(person.flows[0, 48, 48]).all()


@pytest.mark.shared
def test_teeth_stand_between_the_lips_as_in_people_who_speak(shared_data):
    known = kit.read(shared_data / "facemodel" / "makehuman")
    for seed in range(3):
        who = traits.person(seed)
        face = head.Head(known, who)
        # MakeHuman's mouth-open alone: the lower lip falls farther than the jaw.
        base = face.expression(traits.Shot({"mouth-open": 0.6, "mouth-part-later": 0.5}))
        teeth, _ = face._mouth(base, traits.Shot())
        front = np.abs(teeth[:, 0]) < 0.1
        ends = teeth[front & ~face._lower, 1].min()
        rises = teeth[front & face._lower, 1].max() - face._rim(base, known.lower_rim)
        meet = face._rim(face.still, known.upper_rim)
        assert meet - ends == pytest.approx(who.teeth_drop, abs=0.02)
        assert rises <= who.teeth_rise + 0.02
