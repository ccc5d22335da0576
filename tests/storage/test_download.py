# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import socket
import socketserver
import ssl
import threading
import time

import pytest
import urllib3.util.connection

from airflow_provider_dreambooth.storage.download import DownloadFailed, Patience, Stopped, download
from airflow_provider_dreambooth.storage.session import LinkSession
from tests.storage.conftest import Reply, draw

PNG = draw("PNG")
MAX = 1 << 20


@pytest.fixture
def session():
    session = LinkSession(allow_private=True, timeout=(2, 0.3))
    yield session
    session.close()


@pytest.fixture
def impatient():
    session = LinkSession(allow_private=True, timeout=(0.3, 0.3))
    yield session
    session.close()


@pytest.fixture
def fetch(session, tmp_path):
    def run(url, *, patience=0.0, max_bytes=MAX, session=session, stop=None, faults=3):
        until = time.monotonic() + patience
        return download(
            session,
            url,
            tmp_path / "picture",
            max_bytes=max_bytes,
            patience=Patience(until, faults=faults, first_wait=0.01, longest_wait=0.02),
            stop=stop or threading.Event(),
        )

    return run


def chunked(data: bytes, size: int = 100, end: bytes = b"0\r\n\r\n") -> Reply:
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end
    return Reply(body, headers={"Transfer-Encoding": "chunked"})


def gzipped(data: bytes) -> Reply:
    return Reply(gzip.compress(data), headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "reply",
    [
        Reply(PNG),
        Reply(PNG, headers={"Content-Type": "text/html"}),
        Reply(PNG, length=-1),
        chunked(PNG),
        gzipped(PNG),
        Reply(base64.b64encode(PNG)),
        Reply(b"data:image/png;base64," + base64.encodebytes(PNG).rstrip(b"=\n")),
        gzipped(base64.b64encode(PNG)),
    ],
)
def test_a_whole_picture(host, fetch, tmp_path, reply):
    found = fetch(host.give("/x.base64", reply))
    assert (tmp_path / "picture").read_bytes() == PNG
    assert found.bytes == len(PNG)
    assert found.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (found.info.content_type, found.info.width, found.info.height) == ("image/png", 48, 32)
    assert host.asked("/x.base64") == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Reply(status=500), "HTTP 500"),
        (Reply(status=503, headers={"Retry-After": "0"}), "HTTP 503"),
        (Reply(status=429), "HTTP 429"),
        (Reply(status=206, body=PNG), "HTTP 206"),
        (Reply(PNG, cut=60), "ended after 60 of|dropped after"),
        (Reply(PNG, cut=60, length=-1), "ends too early"),
        (Reply(PNG[:-1]), "ends too early"),
        (Reply(PNG, length=70), "ends too early"),
        (Reply(PNG, length=len(PNG) + 9), "ended after|dropped"),
        (chunked(PNG, end=b""), "dropped"),
        (chunked(PNG, end=b"zz\r\n"), "dropped"),
        (gzipped(PNG[:-3]), "ends too early"),
        (Reply(gzip.compress(PNG)[:-9], headers={"Content-Encoding": "gzip"}), "compressed"),
        (Reply(base64.b64encode(PNG)[:-20]), "ends too early"),
        (Reply(b""), "empty"),
        (Reply(PNG, cut=50, stall=True), "stalled after 50 bytes"),
        (Reply(status=302), "HTTP 302"),
    ],
)
def test_passing_faults_are_tried_again_but_not_for_ever(host, fetch, fault, told):
    assert fetch(host.give("/late.png", fault, fault, PNG)).bytes == len(PNG)
    assert host.asked("/late.png") == 3
    with pytest.raises(DownloadFailed, match=told) as caught:
        fetch(host.give("/never.png", fault))
    assert "(tried 3 times" in str(caught.value)
    assert not caught.value.final
    assert host.asked("/never.png") == 3


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "HTTP 403: not there yet, or the link has expired or is not allowed"),
        (404, "HTTP 404: the picture is not there"),
    ],
)
def test_a_link_that_is_not_there_yet_is_asked_again(host, fetch, status, told):
    missing = Reply(status=status)
    assert fetch(host.give("/late.png", *[missing] * 12, PNG), patience=10).bytes == len(PNG)
    with pytest.raises(DownloadFailed, match=told) as caught:
        fetch(host.give("/never.png", missing), patience=0.2)
    assert not caught.value.final
    assert host.asked("/never.png") > 4


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(status=410), "HTTP 410: the link has expired"),
        (Reply(status=400), "HTTP 400"),
        (Reply(b"%PDF-1.7\n\xe2\xe3\xcf\xd3\x01\x02\x03\x04\x05\x06"), "no PNG, JPEG, WEBP or GIF"),
        (Reply(b"\xff" * 10, length=10_000_000_000, stall=True), "larger than 1,048,576 bytes"),
    ],
)
def test_what_would_not_change_is_asked_once(host, fetch, reply, told):
    with pytest.raises(DownloadFailed, match=told) as caught:
        fetch(host.give("/x.png", reply))
    assert caught.value.final
    assert host.asked("/x.png") == 1


def test_text_is_refused_with_a_quote(host, fetch):
    with pytest.raises(DownloadFailed, match="'<html>Gone fishing</html>'") as caught:
        fetch(host.give("/x.png", b"<html>Gone fishing</html>"))
    assert not caught.value.final


class Endless:
    """A body that begins anew with each request: on a busy machine the first may time out."""

    def __init__(self, first: bytes, more: bytes) -> None:
        self.first, self.more = first, more

    def __iter__(self):
        yield self.first
        while True:
            yield self.more


@pytest.mark.parametrize(
    "reply",
    [
        Reply(Endless(PNG[:-20], bytes(1 << 16)), length=-1),
        Reply(Endless(base64.b64encode(PNG), b"\n" * (1 << 16)), length=-1),
        Reply(gzip.compress(PNG[:33] + bytes(80 << 20)), headers={"Content-Encoding": "gzip"}, length=-1),
    ],
    ids=["endless", "base64 of blanks", "gzip bomb"],
)
def test_a_picture_without_end_is_stopped_at_the_limit(host, fetch, tmp_path, reply):
    with pytest.raises(DownloadFailed, match="larger than 1,048,576 bytes") as caught:
        fetch(host.give("/x.png", reply))
    assert caught.value.final
    assert (tmp_path / "picture").stat().st_size <= MAX


def test_a_download_that_drips_is_given_up(host, fetch, impatient, monkeypatch):
    from airflow_provider_dreambooth.storage import download as module

    def drip():
        for byte in PNG:
            yield bytes([byte])
            time.sleep(0.01)

    monkeypatch.setattr(module, "SLOWEST", 1 << 20)
    with pytest.raises(DownloadFailed, match="too slow"):
        fetch(
            host.give("/x.png", *(Reply(drip(), length=len(PNG)) for _ in range(2))),
            session=impatient,
            faults=1,
        )


class Dripping(socketserver.StreamRequestHandler):
    """A byte now and then, for ever: in the headers, or in the line that tells a chunk's length."""

    def handle(self):
        self.rfile.readline()
        head = b"HTTP/1.1 200 OK\r\n"
        if self.server.chunk:
            head += b"Transfer-Encoding: chunked\r\n\r\n1;"
        with contextlib.suppress(OSError):
            self.wfile.write(head)
            while True:
                self.wfile.write(b"a")
                time.sleep(0.02)


@pytest.mark.parametrize(
    ("chunk", "told"), [(False, r"no answer from its host within 0\.3 seconds"), (True, "too slow: 0 bytes")]
)
def test_headers_and_chunk_lengths_that_drip_are_given_up(fetch, impatient, chunk, told):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        server.chunk = chunk
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with pytest.raises(DownloadFailed, match=told):
                fetch(f"http://127.0.0.1:{server.server_address[1]}/x", session=impatient, faults=1)
        finally:
            server.shutdown()
            thread.join()


def test_the_body_of_a_redirect_is_not_read(host, fetch):
    there = host.give("/there", PNG)
    endless = Reply(b"x", status=302, headers={"Location": there}, length=1 << 40, stall=True)
    assert fetch(host.give("/x.png", endless)).bytes == len(PNG)


@pytest.mark.parametrize(
    "place", ["http://[::1/x", "http://a..example.com/x", "http://" + "a" * 70 + ".com/"]
)
def test_a_redirect_to_what_is_no_url_is_refused(host, fetch, place):
    with pytest.raises(DownloadFailed, match="no readable URL") as caught:
        fetch(host.give("/x.png", Reply(status=302, headers={"Location": place})))
    assert caught.value.final
    assert host.asked("/x.png") == 1


def test_a_ca_bundle_that_is_not_there_is_told_as_such(fetch, tmp_path):
    session = LinkSession(timeout=(2, 1), verify=str(tmp_path / "gone.pem"))
    with pytest.raises(DownloadFailed, match=r"the TLS settings cannot be used: .*gone\.pem") as caught:
        fetch("https://pictures.example.com/x.png", session=session)
    assert "while writing" not in str(caught.value)
    session.close()


def test_redirects_are_followed_and_each_is_checked(host, fetch):
    def to(place):
        return Reply(status=302, headers={"Location": place})

    host.give("/there/x.png", PNG)
    host.give("/two", to("there/x.png"))
    assert fetch(host.give("/one", to(f"{host.url}/two?a=b"))).bytes == len(PNG)
    for place, told in [
        ("file:///etc/passwd", "scheme is 'file'"),
        ("http://169.254.169.254/latest/meta-data/?k=SECRET", "metadata address"),
        ("//[fe80::1]/", "link-local"),
    ]:
        with pytest.raises(DownloadFailed, match=told) as caught:
            fetch(host.give("/bad", to(place)))
        assert "SECRET" not in str(caught.value)
        assert caught.value.final
    with pytest.raises(DownloadFailed, match="more than 5 times"):
        fetch(host.give("/loop", to("/loop")))
    assert host.asked("/loop") == 6


def test_a_redirect_to_a_private_address_is_refused_from_outside(host, tmp_path, fetch, monkeypatch):
    """The first host is a public one for all that the session can see."""
    from airflow_provider_dreambooth.storage import session as module

    monkeypatch.setattr(module, "check_address", lambda *_, **__: None)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", _to(host))
    session = LinkSession(timeout=(2, 1))
    host.give("/x.png", Reply(status=307, headers={"Location": "http://127.0.0.1/x.png"}))
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1 is a private address"):
        fetch("http://pictures.example.com/x.png", session=session)
    session.close()


def _to(host):
    def connect(address, *args, **kwargs):
        return socket.create_connection(host.server_address, 2)

    return connect


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_to_a_private_address_gets_no_byte(host, fetch, monkeypatch, scheme):
    """As DNS rebinding does it: the name looks harmless, only the connected socket shows the address."""
    monkeypatch.setattr(urllib3.util.connection, "create_connection", _to(host))
    session = LinkSession(timeout=(2, 1))
    with pytest.raises(DownloadFailed, match=r"pictures\.example\.com leads elsewhere: 127\.0\.0\.1"):
        fetch(f"{scheme}://pictures.example.com/x.png?sig=SECRET", session=session)
    session.close()
    assert host.has_accepted(1)
    assert host.requests == []


def test_the_documented_hook_alone_holds_too(host, fetch, monkeypatch):
    """Should urllib3 rename what is hooked before the TLS handshake, ``connect`` still looks."""
    import urllib3.connection

    session = LinkSession(timeout=(2, 1))
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", _connect_elsewhere(host))
    with pytest.raises(DownloadFailed, match="leads elsewhere"):
        fetch("http://pictures.example.com/x.png", session=session)
    session.close()
    assert host.requests == []


def _connect_elsewhere(host):
    def connect(self):
        self.sock = socket.create_connection(host.server_address, 2)

    return connect


def test_private_addresses_need_permission(host, fetch):
    session = LinkSession(timeout=(2, 1))
    with pytest.raises(DownloadFailed, match="allow_private_links=True"):
        fetch(host.give("/x.png", PNG), session=session)
    session.close()
    assert host.accepted == 0


def test_what_is_sent_holds_no_secret(host, fetch, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(netrc))
    host.give("/y.png", PNG)
    headers = {"Location": "/y.png", "Set-Cookie": "a=SECRET; path=/"}
    fetch(host.give("/x.png", Reply(status=302, headers=headers)))
    assert [path for path, _ in host.requests] == ["/x.png", "/y.png"]
    for _, headers in host.requests:
        assert "authorization" not in headers
        assert "cookie" not in headers
        assert headers["accept-encoding"] == "identity"
        assert headers["user-agent"].startswith("airflow-provider-dreambooth/")


def test_a_proxy_is_the_way_out(host, fetch, monkeypatch):
    host.give("http://pictures.example.com/x.png", PNG)
    session = LinkSession(timeout=(2, 1), proxy=host.url)
    assert fetch("http://pictures.example.com/x.png", session=session).bytes == len(PNG)
    session.close()
    monkeypatch.setenv("http_proxy", host.url)
    session = LinkSession(timeout=(2, 1))
    assert fetch("http://pictures.example.com/x.png", session=session).bytes == len(PNG)
    with pytest.raises(DownloadFailed, match="private address"):
        fetch("http://10.0.0.1/x.png", session=session)
    session.close()


def test_a_proxy_that_is_not_there(host, fetch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        session = LinkSession(timeout=(2, 1), proxy=f"http://127.0.0.1:{closed.getsockname()[1]}")
        for scheme in ("http", "https"):
            with pytest.raises(DownloadFailed, match="the proxy did not let the request through"):
                fetch(f"{scheme}://pictures.example.com/x.png", session=session, faults=1)
        session.close()


@pytest.fixture
def tls(host, tmp_path):
    """Make the host speak TLS; gives the file of the authority that vouches for it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    host.socket = context.wrap_socket(host.socket, server_side=True)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    return str(bundle)


def test_certificates_are_checked(host, fetch, tls, monkeypatch):
    url = host.give("/x.png", PNG).replace("http:", "https:")
    strict, trusting, careless = (
        LinkSession(allow_private=True, timeout=(2, 2), verify=verify) for verify in (True, tls, False)
    )
    with pytest.raises(DownloadFailed, match=r"TLS certificate of its host was not accepted: .*CERTIFICATE"):
        fetch(url, session=strict, faults=1)
    assert fetch(url, session=trusting).bytes == len(PNG)
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
        assert fetch(url, session=careless).bytes == len(PNG)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls)
    environment = LinkSession(allow_private=True, timeout=(2, 2))
    assert fetch(url, session=environment).bytes == len(PNG)
    for session in (strict, trusting, careless, environment):
        session.close()


def test_a_link_is_asked_for_as_it_is(host, fetch):
    host.give("/a%20b/%C3%BC", PNG)
    for path in ("/a%20b/%C3%BC?x=%2F&y=1#there", "/a b/ü?x=%2F&y=1"):
        fetch(host.url + path)
    assert [target for target, _ in host.requests] == ["/a%20b/%C3%BC?x=%2F&y=1"] * 2
    host.give("/", PNG)
    assert fetch(host.url).bytes == len(PNG)


def test_nobody_at_home(fetch, session):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadFailed, match=r"connection to its host failed: .*refused") as caught:
            fetch(f"http://127.0.0.1:{closed.getsockname()[1]}/x.png?sig=SECRET")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(DownloadFailed, match=r"to its host failed: .*(resol|known)"):
        fetch("http://nowhere.invalid/x.png?sig=SECRET")


def test_a_host_that_does_not_answer(fetch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.png"
        with pytest.raises(DownloadFailed, match=r"no answer from its host within 0\.3 seconds"):
            fetch(url, faults=1)


def test_stop_ends_a_stalled_download_at_once(host, tmp_path):
    session = LinkSession(allow_private=True, timeout=(2, 30))
    stop = threading.Event()
    url = host.give("/x.png", Reply(PNG, cut=50, stall=True))

    def end():
        while not host.requests:
            time.sleep(0.01)
        stop.set()
        session.abort()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(Stopped):
        download(session, url, tmp_path / "x", max_bytes=MAX, patience=Patience(time.monotonic()), stop=stop)
    thread.join()
    assert not host.going.is_set()
    with pytest.raises(Stopped):
        download(session, url, tmp_path / "x", max_bytes=MAX, patience=Patience(time.monotonic()), stop=stop)
    session.close()


def test_retry_after_is_heeded(host, fetch):
    url = host.give("/x.png", Reply(status=429, headers={"Retry-After": "1"}), PNG)
    begun = time.monotonic()
    fetch(url)
    assert time.monotonic() - begun > 0.9


def test_a_folder_that_is_not_there(host, session, tmp_path):
    with pytest.raises(DownloadFailed, match="No such file or directory while writing"):
        download(
            session,
            host.give("/x.png", PNG),
            tmp_path / "gone" / "x",
            max_bytes=MAX,
            patience=Patience(0),
            stop=threading.Event(),
        )
