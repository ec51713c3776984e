"""nginx and Varnish, set up as their manuals advise for this work. What is tuned in their favour is said where it stands."""

import os
from collections.abc import Sequence

from bench.certificate import Certificate
from bench.launch import Launcher, Server, need, quiet_ports
from reprise.engines.ports import LOOPBACK

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  # Lines are gathered and written once a second, as ours are.
  access_log {folder}/access.log combined buffer=64k flush=1s;
  sendfile on;
  # On, it holds the last packet of a range back until a delayed ACK: 40 ms a request, and no fair rival.
  tcp_nopush off;
  keepalive_requests 100000000;
  open_file_cache max=1000 inactive=600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=songs:16m max_size=4g inactive=1d;
  upstream origin {{ {origins} }}
  server {{
    listen {host}:{port} {tls}backlog=4096;
    {certificate}
    location /healthz {{ return 200 ok; }}
    location / {{
      proxy_pass http://origin;
      proxy_cache songs;
      proxy_cache_lock on;
      proxy_cache_valid 200 1d;
    }}
  }}
}}
"""
NGINX_TLS = "ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"

VARNISH = """
vcl 4.1;
{backends}
sub vcl_recv {{
  if (req.url == "/healthz") {{ return (synth(200)); }}
  return (hash);
}}
sub vcl_backend_fetch {{
  if (bereq.retries > 0) {{ set bereq.backend = {last}; }}
}}
sub vcl_backend_error {{
  if (bereq.retries == 0) {{ return (retry); }}
}}
"""


def start_nginx(
    launcher: Launcher,
    origins: Sequence[str],
    *,
    name: str = "nginx",
    core: int | None = None,
    certificate: Certificate | None = None,
) -> Server:
    """One worker, its cache on disk and so in the page cache; it turns to the second origin when the first fails."""
    need("nginx", "nginx-light")
    folder, (port,) = launcher.home(name), quiet_ports(1)
    upstreams = [f"server {origin}{' backup' if n else ''};" for n, origin in enumerate(origins)]
    shown = NGINX_TLS.format(certificate=certificate.certificate_path, key=certificate.key_path) if certificate else ""
    config = NGINX.format(
        user="user root;" if os.geteuid() == 0 else "",
        folder=folder,
        host=LOOPBACK,
        port=port,
        origins=" ".join(upstreams),
        tls="ssl " if certificate else "",
        certificate=shown,
    )
    (folder / "nginx.conf").write_text(config)
    argv = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    process = launcher.start(name, argv, port, ready="/healthz", tls=certificate is not None, core=core)
    return Server(name, process, port, certificate=certificate)


def start_varnish(launcher: Launcher, origins: Sequence[str], *, core: int | None = None) -> Server:
    """Storage is malloc; a failed fetch is tried once more, at the last origin. It has no TLS of its own."""
    need("varnishd", "varnish")
    folder, (port,) = launcher.home("varnish"), quiet_ports(1)
    backends = [
        f'backend b{n} {{ .host = "{LOOPBACK}"; .port = "{origin.rpartition(":")[2]}"; }}'
        for n, origin in enumerate(origins)
    ]
    (folder / "songs.vcl").write_text(VARNISH.format(backends="\n".join(backends), last=f"b{len(origins) - 1}"))
    argv = ["varnishd", "-F", "-j", "none", "-n", str(folder), "-a", f"{LOOPBACK}:{port}", "-T", "none"]
    argv += ["-f", str(folder / "songs.vcl"), "-s", "malloc,1g"]
    return Server("varnish", launcher.start("varnish", argv, port, ready="/healthz", core=core), port)
