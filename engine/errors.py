"""The errors a caller may meet. Each message names the offending value and the limit."""

PIP = ".venv/bin/pip"
"""As `make serve` makes it, in the project's folder."""


class VisavisError(Exception):
    """Base of every error that Visavis raises on purpose."""


class ConfigError(VisavisError, ValueError):
    """A setting is unknown or out of its range."""


class AvatarError(VisavisError, ValueError):
    """An avatar is missing, or its file is damaged or of another version."""


class MediaError(VisavisError, ValueError):
    """A sound or video file cannot be read, or is longer than the limit."""


class SignallingError(VisavisError, ValueError):
    """An SDP offer cannot be answered."""


class BackendError(VisavisError, RuntimeError):
    """The backend that was asked for cannot run here."""


class PortraitError(VisavisError, ValueError):
    """A picture cannot be read, or no avatar can be made of it."""


def install_command(extra: str | None = None) -> str:
    """The command that installs Visavis, with one of its extras, in the project's folder."""
    return f"{PIP} install -e '.[{extra}]'" if extra else f"{PIP} install -e ."
