"""Who may look: sign-in with a token, roles, the end of sessions, and what guards all of it."""

import httpx
import pytest
from relevo_client.testing import LocalStore
from relevo_console.sessions import Sessions
from support.console import CONVERSATION, MARKED, PAGES, Served, client_of, console_of, text_of

GUARDED = [path for path in PAGES if path != "/sign-in"]


def words(response: httpx.Response) -> str:
    """The words of a response."""
    return text_of(response.text)


@pytest.mark.parametrize("path", [*GUARDED, "/overview/events", "/changes/events?tenant=acme"])
async def test_nothing_without_a_token(asking: Served, path: str) -> None:
    """Every page leads to the sign-in, which leads back."""
    response = await asking.http.get(path)
    assert response.status_code == 303
    place = httpx.URL(response.headers["location"])
    assert place.path == "/sign-in"
    assert place.params["next"] == path
    assert "acme" not in response.text


async def test_sign_in_and_out(asking: Served) -> None:
    """A token opens a session that a cookie names; signing out ends it, whoever has the cookie."""
    response = await asking.http.post(
        "/sign-in", data={"token": "viewer-token", "next": "/clients"}
    )
    assert (response.status_code, response.headers["location"]) == (303, "/clients")
    cookie = response.headers["set-cookie"]
    for flag in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert flag in cookie
    assert "Secure" not in cookie  # the test's browser speaks no TLS
    assert "viewer-token" not in cookie
    assert (await asking.http.get("/clients")).status_code == 200
    async with client_of(asking.url) as copy:
        copy.cookies.update(asking.http.cookies)
        assert (await copy.get("/clients")).status_code == 200
        assert (await asking.http.post("/sign-out")).headers["location"] == "/sign-in"
        assert (await copy.get("/clients")).status_code == 303


async def test_cookies_behind_tls(guarded: LocalStore) -> None:
    """Behind a proxy with TLS, browsers send the cookie by TLS alone."""
    async with console_of(guarded.address, has_secure_cookies=True) as served:
        response = await served.http.post("/sign-in", data={"token": "viewer-token"})
        assert "Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "nobody's", "two\nlines", "é"])
async def test_wrong_token(asking: Served, token: str) -> None:
    """A token that the store does not know, or that is none, opens nothing, and is not repeated."""
    response = await asking.http.post("/sign-in", data={"token": token})
    assert response.status_code in (400, 401)
    assert "set-cookie" not in response.headers
    assert not token or token not in words(response)


async def test_missing_role(asking: Served) -> None:
    """A principal without the role `admin` is told which role is missing, and gets no session."""
    response = await asking.http.post("/sign-in", data={"token": "reader-token"})
    assert response.status_code == 403
    assert "lacks the role admin" in words(response)
    assert "set-cookie" not in response.headers


async def test_limited_to_a_tenant(asking: Served) -> None:
    """A principal limited to a tenant sees that one, and a page that says so for what is more."""
    async with asking.signed_in("acme-token") as http:
        assert (await http.get("/contexts?tenant=acme")).status_code == 200
        assert (await http.get("/partitions")).status_code == 200
        assert "your principal may not use all tenants" in words(await http.get("/"))
        assert "Name one of your own" in words(await http.get("/tenants"))
        for path in ("/contexts?tenant=globex", "/clients", "/changes?tenant=globex"):
            response = await http.get(path)
            assert response.status_code == 403
            assert "Your principal may not see this" in words(response)


async def test_role_of_an_invalidate(asking: Served) -> None:
    """The store refuses an Invalidate of a principal without the right; the page names the role."""
    fields = {"key": CONVERSATION.text, "confirmed": CONVERSATION.text}
    async with asking.signed_in("viewer-token") as http:
        response = await http.post("/invalidate", data=fields)
        assert response.status_code == 403
        assert "The role invalidate is missing" in words(response)
        assert (await http.get(f"/context?ref={CONVERSATION.text}")).status_code == 200


async def test_too_many_failures(asking: Served) -> None:
    """After five refused tokens a sixth is not even asked for, also if it is the right one."""
    for _ in range(5):
        assert (await asking.http.post("/sign-in", data={"token": "x"})).status_code == 401
    response = await asking.http.post("/sign-in", data={"token": "viewer-token"})
    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 60


async def test_sessions_end(guarded: LocalStore) -> None:
    """A session ends if nobody uses it, and after some hours however much it is used."""
    now = [0.0]
    sessions = Sessions(idle=100, longest=250, clock=lambda: now[0])
    async with console_of(guarded.address, sessions) as served:
        async with served.signed_in("viewer-token") as http:
            for now[0] in (90, 180, 240):
                assert (await http.get("/partitions")).status_code == 200
            now[0] = 250
            assert (await http.get("/partitions")).status_code == 303
        async with served.signed_in("viewer-token") as http:
            now[0] = 350
            assert (await http.get("/partitions")).status_code == 303
        assert sessions.count == 0


async def test_onward(asking: Served) -> None:
    """The sign-in leads to pages of this console alone."""
    for place in ("//evil.example", "https://evil.example", "/\\evil.example", "/sign-out"):
        response = await asking.http.post("/sign-in", data={"token": "viewer-token", "next": place})
        assert response.headers["location"] == "/"


async def test_open_store(console: Served) -> None:
    """A store that asks nobody needs no sign-in, and offers no sign-out."""
    response = await console.http.get("/")
    assert response.status_code == 200
    assert "Sign out" not in response.text


async def test_own_token(guarded: LocalStore) -> None:
    """With a token of its own, the console asks for those who have not signed in."""
    async with console_of(guarded.address, own_token=lambda: "acme-token") as served:
        assert (await served.http.get("/partitions")).status_code == 200
        assert (await served.http.get("/clients")).status_code == 403
        async with served.signed_in("viewer-token") as http:
            assert (await http.get("/clients")).status_code == 200


async def test_no_sign_in_without_tls(guarded: LocalStore) -> None:
    """If tokens would travel unencrypted to the store, nobody can sign in, which is said."""
    async with console_of(guarded.address, refuses_tokens="It speaks no TLS.") as served:
        assert "It speaks no TLS" in words(await served.http.get("/sign-in"))
        response = await served.http.post("/sign-in", data={"token": "viewer-token"})
        assert response.status_code == 403
        assert "set-cookie" not in response.headers


async def test_other_sites(asking: Served) -> None:
    """A form of another site's page changes nothing, signs nobody in, and ends nothing."""
    async with asking.signed_in("admin-token") as http:
        fields = {"key": CONVERSATION.text, "confirmed": CONVERSATION.text}
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
        ):
            for path in ("/invalidate", "/sign-in", "/sign-out", "/turn"):
                response = await http.post(path, data=fields, headers=headers)
                assert response.status_code == 403
        response = await http.get("/", headers={"host": "evil.example"})
        assert response.status_code == 421
        assert (await http.get(f"/context?ref={CONVERSATION.text}")).status_code == 200


async def test_headers(asking: Served) -> None:
    """Every response has a strict policy, and is kept by no cache."""
    for path in ("/", "/sign-in", "/nowhere"):
        headers = (await asking.http.get(path)).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("body", [b"token=" + b"x" * 70_000, b"token=%ff", b"token=\xff"])
async def test_large_and_malformed_forms(asking: Served, body: bytes) -> None:
    """A form that is too large, or no text, is refused, and nothing of it is repeated."""
    kind = {"content-type": "application/x-www-form-urlencoded"}
    response = await asking.http.post("/sign-in", content=body, headers=kind)
    assert response.status_code == 400
    assert "xxx" not in response.text
    assert "set-cookie" not in response.headers


async def test_no_secrets(asking: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Values that the store redacts are in no response, and neither they nor tokens in a log."""
    caplog.set_level("DEBUG")
    async with asking.signed_in("admin-token") as http:
        for path in GUARDED:
            response = await http.get(path)
            assert response.status_code == 200
            sent = f"{response.text}{response.headers}"
            assert MARKED not in sent
            assert "admin-token" not in sent
        await http.post("/turn", data={"text": f"{MARKED} nothing"})
    ours = [each.getMessage() for each in caplog.records if not each.name.startswith("httpcore")]
    assert not [text for text in ours if MARKED in text or "admin-token" in text]
