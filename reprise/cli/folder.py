"""The folder of a mesh: where everything is. Nothing of a mesh lives outside of it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reprise.errors import NotReady

DEFAULT = Path("~/.local/share/reprise")


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths inside of a mesh's folder."""

    path: Path

    @property
    def mesh_file(self) -> Path:
        return self.path / "mesh.json"

    @property
    def lock(self) -> Path:
        return self.path / "up.lock"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def music(self) -> Path:
        return self.path / "music"

    @property
    def drained(self) -> Path:
        """Holds a file for each edge that an operator drained: it stays down until the file is gone."""
        return self.path / "drained"

    @property
    def prepared(self) -> Path:
        """Exists when the engines hold what services expect."""
        return self.path / "prepared"

    @property
    def demo_imported(self) -> Path:
        """Exists when all of the demo music is in the catalog."""
        return self.path / "demo-music-imported"

    @property
    def example(self) -> Path:
        """Holds the title of a song of this mesh, to show in examples."""
        return self.path / "example-song"

    @property
    def session(self) -> Path:
        """Holds the tokens of who is logged in."""
        return self.path / "session.json"

    @property
    def device(self) -> Path:
        """Holds what this device logs in by."""
        return self.path / "device.json"

    def secret(self, name: str) -> Path:
        return self.path / "secrets" / name

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def state(self, name: str) -> Path:
        """Where a process keeps its own data."""
        return self.path / name

    def create(self) -> None:
        """Makes the folder, for its owner only. Raises NotReady when that cannot be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("secrets", "logs", "drained"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise NotReady(
                f"cannot make the mesh's folder {self.path}: {error.strerror}; choose another --data"
            ) from None


def locate(data: Path | None) -> Folder:
    """The folder that the user means: `--data` (REPRISE_DATA), or the default."""
    return Folder((data or DEFAULT).expanduser().absolute())


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that readers see the old content or the new one, never a part; 0600."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
