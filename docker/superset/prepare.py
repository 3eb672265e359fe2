#!/usr/bin/env python3
"""Makes Superset's own database, an administrator with a password of its own, and the dashboard; once or again.

PINOT_URI says where Pinot is, instead of the address in dashboard/databases/Pinot.yaml. What was changed by hand on the
dashboard goes back to what the files have: a copy under another name stays.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
DATABASE = "databases/Pinot.yaml"


def superset(*arguments):
    """The command that is installed beside this Python."""
    subprocess.run([Path(sys.executable).with_name("superset"), *arguments], check=True)


def import_dashboard():
    with tempfile.TemporaryDirectory() as directory:
        files = Path(directory) / "dashboard"
        shutil.copytree(HERE / "dashboard", files)
        if uri := os.environ.get("PINOT_URI"):
            database = yaml.safe_load((files / DATABASE).read_text())
            (files / DATABASE).write_text(yaml.safe_dump(database | {"sqlalchemy_uri": uri}))
        superset("import-directory", "--overwrite", str(files))


def grant():
    """Who has not logged in may read what lies in Pinot, and nothing else."""
    from superset.app import create_app

    with create_app().app_context():
        from superset import db, security_manager
        from superset.models.core import Database

        pinot = db.session.query(Database).filter_by(database_name="Pinot").one()
        permission = security_manager.add_permission_view_menu("database_access", pinot.perm)
        security_manager.add_permission_role(security_manager.find_role("Public"), permission)
        db.session.commit()


def main():
    from superset_config import HOME, secret

    superset("db", "upgrade")
    superset(
        "fab", "create-admin", "--username", "admin", "--firstname", "Admin", "--lastname", "Admin",
        "--email", "admin@localhost", "--password", secret("admin-password"),
    )  # fmt: skip
    superset("init")
    import_dashboard()
    grant()
    print(f"the dashboard is there; to change it log in as admin, whose password is in {HOME}/admin-password")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
