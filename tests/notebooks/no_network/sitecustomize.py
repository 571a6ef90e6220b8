"""With this folder on PYTHONPATH a Python process, and those it starts, reach this machine and nothing else."""

import ipaddress
import socket

_connect, _connect_ex, _sendto, _look_up = (
    socket.socket.connect,
    socket.socket.connect_ex,
    socket.socket.sendto,
    socket.getaddrinfo,
)


def _check(host: str) -> None:
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False  # a name that would have to be looked up
    if not here:
        raise ConnectionRefusedError(f"this test has no network: {host}")


def _guarded(method, place):
    def guarded(self, *arguments):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _check(arguments[place][0])
        return method(self, *arguments)

    return guarded


def _getaddrinfo(host, *arguments, **options):
    if host not in (None, ""):
        _check(host.decode() if isinstance(host, bytes) else host)
    return _look_up(host, *arguments, **options)


socket.socket.connect = _guarded(_connect, 0)
socket.socket.connect_ex = _guarded(_connect_ex, 0)
socket.socket.sendto = _guarded(_sendto, -1)
socket.getaddrinfo = _getaddrinfo
