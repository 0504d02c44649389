"""Finding resource agents: programs that describe themselves, among files that are none."""

from pathlib import Path

import pytest

from standfast.node.discovery import find_agents

LAMP = """#!/bin/sh
cat <<'XML'
<?xml version="1.0"?>
<resource-agent name="%s" version="1.0"><parameters><parameter name="name" primary="1"><content type="string"/>
</parameter></parameters><actions><action name="start" timeout="5"/></actions></resource-agent>
XML
"""


def put(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def found(*folders: Path) -> dict[str, str]:
    """Return the agents that are not our own, each with its program."""
    programs = find_agents(folders).programs
    return {kind: program.path for kind, program in programs.items() if program.path != kind}


def test_agent_is_found_by_what_it_says_and_not_by_its_file_name(tmp_path: Path) -> None:
    path = put(tmp_path, "anything.sh", LAMP % "Lamp")
    assert found(tmp_path) == {"lamp": str(path)}


def test_our_own_agents_are_always_there_and_cannot_be_replaced(tmp_path: Path) -> None:
    put(tmp_path, "ip.sh", LAMP % "ip")
    agents = find_agents([tmp_path])
    assert sorted(agents.metadata) == ["ip", "script", "service"]
    assert agents.programs["ip"].path == "ip"


def test_first_folder_wins(tmp_path: Path) -> None:
    first = put(tmp_path / "one", "lamp.sh", LAMP % "lamp")
    put(tmp_path / "two", "lamp.sh", LAMP % "lamp")
    assert found(tmp_path / "one", tmp_path / "two") == {"lamp": str(first)}


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("lamp.sh", LAMP % "lamp", 0o644),
        ("lamp.sh~", LAMP % "lamp", 0o755),
        ("lamp.sh.rpmsave", LAMP % "lamp", 0o755),
        ("silent", "#!/bin/sh\n", 0o755),
        ("talker", "#!/bin/sh\necho hello\n", 0o755),
        ("endless", "#!/bin/sh\nexec yes\n", 0o755),
        ("broken", "#!/nonexistent\n", 0o755),
        ("reserved", LAMP % "action", 0o755),
    ],
)
def test_file_that_is_no_agent_is_passed_over(tmp_path: Path, name: str, text: str, mode: int) -> None:
    put(tmp_path, name, text, mode)
    assert found(tmp_path) == {}


def test_folder_that_is_not_there_has_no_agents(tmp_path: Path) -> None:
    assert found(tmp_path / "missing") == {}


def test_agent_that_says_nothing_for_ever_is_given_up(tmp_path: Path) -> None:
    put(tmp_path, "sleeper", "#!/bin/sh\nsleep 60\n")
    agents = find_agents([tmp_path], metadata_s_max=0.2)
    assert sorted(agents.metadata) == ["ip", "script", "service"]
