"""The command tells mutants that are caught from all others, and leaves the project as it is."""

import subprocess
from pathlib import Path

import pytest
from mutants.copies import Copy, Ended
from mutants.listed import Mutant, mutants
from mutants.trying import Trials, Verdict, all_caught, verdict_of

pytestmark = pytest.mark.processes

CODE = '''
def price(pieces: int) -> int:
    """Three for each; none for nothing."""
    if pieces < 0:
        raise ValueError
    return 3 * pieces
'''
TESTS = """
from shop import price


def test_price() -> None:
    assert price(2) == 6
    assert price(0) == 0


def test_that_fails_anyway() -> None:
    assert price(2) == 7
"""
TEST = "tests/test_shop.py::test_price"
SECONDS = 100.0


def mutant(find: str, replace: str, *tests: str) -> Mutant:
    """A break of the shop, which its test should see."""
    return Mutant("shop", "Three for each", "client/shop.py", find, replace, tests or (TEST,))


CAUGHT = mutant("3 * pieces", "3 + pieces")
SURVIVED = mutant("pieces < 0", "pieces < -1")
NOT_RUN = mutant("raise ValueError", "import nothing_of_that_name", "tests/test_other.py")
HANGS = mutant("return", "import subprocess; subprocess.run(['sleep', '1000'])\n    return")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a module and its tests, of which one file was deleted again."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # pytest starts faster without
    root = tmp_path / "project"
    files = {"client/shop.py": CODE, "tests/test_shop.py": TESTS, "client/gone.py": ""}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for command in (["git", "init", "--quiet"], ["git", "add", "client"]):
        subprocess.run(command, cwd=root, check=True)
    (root / "client/gone.py").unlink()
    return root


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Copy:
    """A copy of the project."""
    return Copy(project, tmp_path / "copy")


@pytest.mark.parametrize(
    "tried, verdict",
    [(CAUGHT, Verdict.CAUGHT), (SURVIVED, Verdict.SURVIVED), (NOT_RUN, Verdict.NOT_RUN)],
    ids=["caught", "survived", "not run"],
)
def test_a_verdict(project: Path, copy: Copy, tried: Mutant, verdict: Verdict) -> None:
    """A mutant is caught if a test fails; it has not run if there was no test to run."""
    trial = Trials([copy], SECONDS).tried(tried)
    assert trial.verdict is verdict, trial.output
    assert str(trial).startswith(f"{verdict.value} ")
    assert ("[test_shop.py::test_price]" in str(trial)) is (tried is CAUGHT)
    assert (project / tried.file).read_text() == CODE, "the project is as it was"
    assert (copy.folder / tried.file).read_text() == CODE, "the next mutant finds no trace"


def test_tests_that_do_not_end(copy: Copy) -> None:
    """Tests that take too long have neither passed nor failed; what they started ends too."""
    assert Trials([copy], seconds=1).tried(HANGS).verdict is Verdict.TIMED_OUT
    assert (copy.folder / HANGS.file).read_text() == CODE


@pytest.mark.parametrize(
    "output, verdict",
    [
        ("..F", Verdict.CAUGHT),
        ("..s. [ 50%]\n.E", Verdict.CAUGHT),
        (".F.. [ 50%]\n..", Verdict.CAUGHT),
        ("..\nException in thread\nFatal error", Verdict.TIMED_OUT),
        ("..s. [ 50%]\n..", Verdict.TIMED_OUT),
        ("", Verdict.TIMED_OUT),
    ],
)
def test_a_run_that_hangs_after_a_failure(output: str, verdict: Verdict) -> None:
    """A test that fails has caught a mutant, also if the fixtures then do not end."""
    assert verdict_of(Ended(None, output)) is verdict


def test_the_copy_is_what_is_tested(copy: Copy) -> None:
    """The tests import the copy's modules, whatever is installed."""
    (copy.folder / "tests/test_where.py").write_text(
        "import shop\n\n\ndef test() -> None:\n    assert False, shop.__file__\n"
    )
    ended = copy.run(["tests/test_where.py"], seconds=SECONDS)
    assert ended.code == 1
    assert str(copy.folder / "client/shop.py") in ended.output


def test_all_are_caught(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mutant has a line, and the sum is the last one."""
    assert all_caught(project, [CAUGHT, CAUGHT], side_by_side=2, seconds=SECONDS)
    unbroken, *trials, total = capsys.readouterr().out.splitlines()
    assert unbroken.startswith("the tests pass without a mutant")
    assert [line.split()[:2] for line in trials] == [["caught", "shop"]] * 2
    assert total.startswith("2 of 2 mutants caught")


def test_one_is_not_caught(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mutant that survives fails the command, whatever came before."""
    assert not all_caught(project, [CAUGHT, SURVIVED], seconds=SECONDS)
    *_, line, total = capsys.readouterr().out.splitlines()
    assert line.startswith("SURVIVED")
    assert total.startswith("1 of 2 mutants caught")


def test_a_test_that_fails_anyway(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would catch every mutant: the tests have to pass without one first."""
    always = mutant("3 * pieces", "3 + pieces", "tests/test_shop.py")
    assert not all_caught(project, [always], seconds=SECONDS)
    out = capsys.readouterr().out
    assert out.endswith("without a mutant, the tests do not pass\n")
    assert "test_that_fails_anyway" in out


@pytest.mark.parametrize("text", ["2 * pieces", "pieces"], ids=["not there", "twice"])
def test_a_text_that_is_not_there_once(text: str) -> None:
    """A break that does not say what it changes is refused by its name."""
    with pytest.raises(ValueError, match="shop"):
        mutant(text, "").broken(CODE)


def test_a_list(tmp_path: Path) -> None:
    """The list is TOML; texts of several lines begin on a line of their own."""
    file = tmp_path / "mutants.toml"
    file.write_text(
        "[[mutant]]\nname = 'shop'\nrule = 'Three for each'\nfile = 'client/shop.py'\n"
        "find = '''\n    return 3 * pieces\n'''\nreplace = ''\ntests = ['tests/test_shop.py']\n"
    )
    (found,) = mutants(file)
    assert found == Mutant(
        *("shop", "Three for each", "client/shop.py"),
        *("    return 3 * pieces\n", "", ("tests/test_shop.py",)),
    )
