"""Start Langflow with what the stack knows: the database's address, and the administrator.

The address has the password in it, and any character may be in that.
"""

import os
from pathlib import Path
from urllib.parse import quote


def secret(name: str) -> str:
    """Return the secret in the file that NAME_FILE names."""
    return Path(os.environ[f"{name}_FILE"]).read_text().rstrip("\r\n")


def main() -> None:
    """Become Langflow."""
    env = os.environ
    user, password = (
        quote(env["POSTGRES_USER"], safe=""),
        quote(secret("POSTGRES_PASSWORD"), safe=""),
    )
    where = f"{env['POSTGRES_HOST']}:{env['POSTGRES_PORT']}/{env['POSTGRES_DB']}"
    env["LANGFLOW_DATABASE_URL"] = (
        f"postgresql://{user}:{password}@{where}?options=-csearch_path%3Dlangflow"
    )
    env["LANGFLOW_SECRET_KEY"] = env["LANGFLOW_SUPERUSER_PASSWORD"] = secret("SECRET_KEY")
    Path(env["LANGFLOW_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    os.execvp("langflow", ["langflow", "run"])


if __name__ == "__main__":
    main()
