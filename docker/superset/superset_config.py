"""Superset as the pictures need it: whoever reaches it sees the dashboard, and only an administrator changes it."""

import os
import secrets
from pathlib import Path

HOME = Path(os.environ.get("SUPERSET_HOME", "/var/lib/superset"))


def secret(name):
    """A secret of this installation alone, made at its first start."""
    path = HOME / name
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(42))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = secret("secret-key")
SQLALCHEMY_DATABASE_URI = f"sqlite:///{HOME}/superset.db"
# Reads dashboards and no more; prepare.py lets it read what lies in Pinot.
AUTH_ROLE_PUBLIC = "Public"
PUBLIC_ROLE_LIKE = "Public"
# "The last six hours" end now and not at midnight.
DEFAULT_RELATIVE_START_TIME = "now"
DEFAULT_RELATIVE_END_TIME = "now"
