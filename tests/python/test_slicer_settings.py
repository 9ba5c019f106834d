"""Settings of the Slicer module: where they come from and which library they mean. Without Slicer."""

import sys
import types

import pytest
from Mem3DLib import Native
from Mem3DLib.Engine import Engine
from Mem3DLib.Errors import UserError
from Mem3DLib.Settings import Settings


@pytest.fixture
def settings(library):
    return Settings(modelPath="random:1", libraryPath=library.path, device="cpu", threads=1)


def test_settings(tmp_path):
    with pytest.raises(UserError, match="mode"):
        Settings(mode="elsewhere")
    assert Settings(memoryLimitMb=3).sessionOptions()["feature_cache_bytes"] == 3 << 20

    class Store(dict):
        value = dict.get
        setValue = dict.__setitem__

    store = Store()
    saved = Settings(device="cuda:1", threads=3, mode="helper")
    saved.save(store)
    assert Settings.load(store) == saved
    store.update({"Mem3D/threads": "many", "Mem3D/mode": "elsewhere"})
    assert Settings.load(store) == saved._replace(threads=0, mode="auto")


def test_which_library_is_loaded(tmp_path, monkeypatch):
    wheel, named = tmp_path / "wheel.so", tmp_path / "named.so"
    settings = Settings(libraryPath=str(wheel))
    monkeypatch.delenv("MEM3D_LIBRARY", raising=False)
    # A wheel that was removed: the usual places.
    assert settings.libraryFile() is None and Settings().libraryFile() is None
    wheel.write_bytes(b"")
    assert settings.libraryFile() == str(wheel)
    # What the environment names is meant, also where it is missing.
    monkeypatch.setenv("MEM3D_LIBRARY", str(named))
    assert settings.libraryFile() == str(named) == Settings().libraryFile()


def test_a_library_that_was_removed_is_searched_elsewhere(settings, monkeypatch, library):
    monkeypatch.delenv("MEM3D_LIBRARY", raising=False)
    monkeypatch.setattr(Native, "libraryCandidates", lambda path=None: [path or library.path])
    engine = Engine()
    engine.start(settings._replace(libraryPath="removed/libmem3d.so"))
    assert engine._library.path == library.path
    engine.close()


def test_variables_replace_the_settings_of_the_module_one_by_one(monkeypatch):
    for name in ("MEM3D_MODEL", "MEM3D_DEVICE", "MEM3D_MODE", "MEM3D_THREADS"):
        monkeypatch.delenv(name, raising=False)
    kept = Settings("kept.safetensors", "wheel.so", "cuda:1", threads=3, memoryLimitMb=7, mode="helper")

    class Store(dict):
        value = dict.get
        setValue = dict.__setitem__

    store = Store()
    kept.save(store)
    application = types.SimpleNamespace(userSettings=lambda: store)
    monkeypatch.setitem(sys.modules, "slicer", types.SimpleNamespace(app=application))
    assert Settings.forScripts() == kept
    monkeypatch.setenv("MEM3D_DEVICE", "cpu")
    assert Settings.forScripts() == kept._replace(device="cpu")
    monkeypatch.setenv("MEM3D_THREADS", "2")
    monkeypatch.setenv("MEM3D_MODE", "inProcess")
    monkeypatch.setenv("MEM3D_MODEL", "")  # as if it were not set
    assert Settings.forScripts() == kept._replace(device="cpu", threads=2, mode="inProcess")
    # slicer-core, and no Slicer at all.
    monkeypatch.setitem(sys.modules, "slicer", types.SimpleNamespace())
    assert Settings.forScripts() == Settings(device="cpu", threads=2, mode="inProcess") == Settings.fromEnvironment()
    monkeypatch.setitem(sys.modules, "slicer", None)
    assert Settings.forScripts() == Settings.fromEnvironment(device="cpu")
