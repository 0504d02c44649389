"""Print each frame that arrives on a device, in hex, one a line: capture.py DEVICE ETHERTYPE."""

import socket
import sys

with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as link:
    link.bind((sys.argv[1], int(sys.argv[2])))
    print("listening", flush=True)
    while True:
        print(link.recv(4096).hex(), flush=True)
