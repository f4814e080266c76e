"""The parts of the documentation site that are made of code, and what the build does to pages."""

import re
from pathlib import Path

import pytest
import relevo_client
from docs_pages import (
    api,
    commands,
    diagrams,
    hosts,
    instruments,
    links,
    markdown,
    pictures,
    rpcs,
    settings_page,
)
from relevo.v1 import store_pb2
from relevo_cli.main import COMMANDS
from relevo_server.settings import Settings
from support.telemetry.prometheus_names import metric
from support.telemetry.table import instruments as documented

DOCS = links.DOCS
FORGE = "https://forge.example/relevo/"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" class="relevo"></svg>\n'


def test_every_public_name_has_a_place() -> None:
    """Each public name is on one page of the API, under its own module."""
    text = "".join(api.pages().values())
    for name in relevo_client.__all__:
        assert text.count(f"::: relevo_client.{name}\n") == 1
    assert "::: relevo_client.actions.faststream.ActionQueues\n" in text


def test_a_public_name_without_a_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site is not built without a new name, nor with one that is gone."""
    monkeypatch.setattr(relevo_client, "__all__", [*relevo_client.__all__[1:], "new_name"])
    with pytest.raises(ValueError, match="CHANNEL_OPTIONS, new_name"):
        api.pages()


def test_settings() -> None:
    """Each setting has a row, with its variable, its default, and its docstring."""
    text = settings_page.page()
    for name, field in Settings.model_fields.items():
        row = re.search(rf"^\| `{name}` \| `RELEVO_{name.upper()}` \| .*\|$", text, re.MULTILINE)
        assert row, name
        assert field.description
        assert markdown.cell(markdown.text(field.description)) in row[0]
    assert "| `store_timeout` | `RELEVO_STORE_TIMEOUT` | number > 0 | `1.0` |" in text
    assert "| `store` | `RELEVO_STORE` | text | `memory://` |" in text
    assert "| `ttl.default` | `RELEVO_TTL__DEFAULT` | number > 0 | `300.0` | Seconds for" in text
    assert "| `token_sha256` | text | none | The SHA-256 of the token" in text


@pytest.mark.processes
def test_rpcs() -> None:
    """Each RPC, message, field and value of the protos is there, with its comment."""
    pages = rpcs.pages(rpcs.files())
    text = pages["rpcs.md"]
    file = store_pb2.DESCRIPTOR
    for service in file.services_by_name.values():
        for method in service.methods:
            assert re.search(
                rf"^### rpc {method.name}\n\n```proto\nrpc {method.name}\(", text, re.M
            )
    for name, message in file.message_types_by_name.items():
        section = re.search(rf"^### {name}\n\n(.+?)(?=^### |\Z)", text, re.DOTALL | re.M)
        assert section, name
        for field in message.fields:
            assert re.search(rf"^\| `{field.name}` \| .+ \| \S.+ \|$", section[1], re.M), field
    for enum in file.enum_types_by_name.values():
        for value in enum.values:
            assert f"| `{value.name}` | {value.number} |" in text
    assert "rpc Watch(stream WatchRequest) returns (stream WatchResponse);" in text
    assert "# RPCs of operators" in pages["admin-rpcs.md"]
    assert "(rpcs.md#contextkey)" in pages["admin-rpcs.md"]


@pytest.mark.processes
def test_links_of_rpcs_lead_to_headings() -> None:
    """Each type on the pages of RPCs is a link to its own heading."""
    pages = rpcs.pages(rpcs.files())
    anchors = {
        page: {
            heading.lower().replace(" ", "-").replace(".", "")
            for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        for page, text in pages.items()
    }
    for page, text in pages.items():
        found = re.findall(r"\]\(([\w-]+\.md)?#([\w-]+)\)", text)
        assert found
        assert {(file, to) for file, to in found if to not in anchors[file or page]} == set()


def test_commands() -> None:
    """Each command has a heading and its help; those in commands have, too."""
    text = commands.page()
    for command in COMMANDS:
        assert f"\n## relevo {command.name}\n" in text
    assert "\n## relevo tenant shred\n" in text
    assert "usage: relevo get [-h]" in text
    assert "--store-timeout" not in text  # it is on the page of settings


def test_metrics() -> None:
    """The instruments are those of docs/observability.md, with their kinds, units and names."""
    found = {
        each.name: each
        for part in (instruments.of_clients, instruments.of_servers, instruments.of_the_probe)
        for each in part()
    }
    wanted = documented()
    assert found.keys() == wanted.keys()
    for name, each in wanted.items():
        assert (found[name].kind, found[name].unit) == (each.data, each.unit)
        assert found[name].in_prometheus == metric(each)
        assert f"| `{name}` | `{metric(each)}` |" in instruments.page()


def test_text_stays_text() -> None:
    """What means something in Markdown is escaped, but for code."""
    assert markdown.text("a <b>\n `*` *c*") == r"a \<b> `*` \*c\*"
    assert markdown.table(["a"], [["x|y"]]) == "\n| a |\n| --- |\n| x\\|y |\n"


def test_links_to_the_repository() -> None:
    """On the site, links to files that are not pages lead to the forge; in code, nothing does."""
    text = (
        "[a](../Makefile) [b](../examples#x) [c](http.md#trust) [d](#e) [f](https://g.example)\n"
        "```md\n[h](../Makefile)\n```\n"
    )
    assert links.outward(text, DOCS / "actions.md", FORGE) == (
        f"[a]({FORGE}blob/main/Makefile) [b]({FORGE}tree/main/examples#x) [c](http.md#trust) "
        "[d](#e) [f](https://g.example)\n```md\n[h](../Makefile)\n```\n"
    )


def test_diagrams() -> None:
    """A diagram's text is folded, with a link to where it is drawn."""
    text = "a\n\n```mermaid\nflowchart TD\n  a --> b\n```\n\nb\n"
    assert diagrams.folded(text, FORGE) == (
        'a\n\n??? abstract "Diagram"\n\n    [See it drawn](https://forge.example/relevo/).\n\n'
        "    ```text\n    flowchart TD\n      a --> b\n    ```\n\n\nb\n"
    )


def test_pictures(tmp_path: Path) -> None:
    """A picture becomes a part of its page, which names it for those who do not see it."""
    (tmp_path / "concepts").mkdir()
    (tmp_path / "concepts" / "relay.svg").write_text(SVG)
    html = '<p><img alt="A relay" src="../relay.svg" /></p>'
    page = pictures.inlined(html, "concepts/references/", tmp_path)
    assert page.startswith('<p><span class="picture"><svg role="img" aria-label="A relay" xmlns')
    with pytest.raises(FileNotFoundError):
        pictures.inlined(html, "", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://host.example/a.js"></script>',
        '<link rel="stylesheet" href="//host.example/a.css">',
        "@import 'https://host.example/a.css';",
        "src: url(https://host.example/a.woff2)",
        "<img src=https://host.example/a.png>",
    ],
)
def test_other_hosts_are_seen(text: str) -> None:
    """A page that loads something from another host is noticed."""
    assert [each.split("host.example")[0] for each in hosts.loaded(text)] == [
        "//" if "https" not in text else "https://"
    ]


def test_links_load_nothing() -> None:
    """A link to another host is not a load, nor is a namespace."""
    text = '<a href="https://host.example/">x</a> <link rel="canonical" href="https://x.example">'
    assert hosts.loaded(text + SVG) == []
