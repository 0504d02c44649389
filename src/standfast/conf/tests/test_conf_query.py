import pytest

from standfast.conf.parse import parse
from standfast.conf.query import query
from standfast.errors import ConfError

DOCUMENT = parse(
    "f",
    b'<cluster name="c"><rm><event name="e">x()</event></rm><n id="1" k="a\'b"/><n id="2"/><m/></cluster>',
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/cluster/@name", ("c",)),
        ("/cluster/n/@id", ("1", "2")),
        ("/cluster/n[2]/@id", ("2",)),
        ("/cluster/n[0]/@id", ()),
        ("/cluster/n[3]/@id", ()),
        ("/cluster/n[@id='2']/@*", ("id=2",)),
        ('/cluster/n[@k="a\'b"]/@id', ("1",)),
        ("/cluster/n[@id='']", ()),
        ("/cluster/child::*", ("rm=", "n=", "n=", "m=")),
        ("/cluster/child::*/child::*", ("event=x()",)),
        ("/cluster/rm/event", ("event=x()",)),
        ("/other/@name", ()),
    ],
)
def test_path_names_values(path: str, expected: tuple[str, ...]) -> None:
    assert query(DOCUMENT, path) == expected


@pytest.mark.parametrize(
    "path", ["", "cluster", "/", "/cluster/", "//cluster", "/cluster/@name/x", "/cluster[", "/a[x]"]
)
def test_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ConfError, match="cannot read the path from"):
        query(DOCUMENT, path)
