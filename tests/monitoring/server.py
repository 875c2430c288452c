#!/usr/bin/python3
"""An HTTP server for tests, in the place of Alertmanager or of a receiver of its notifications.

It listens on 127.0.0.1 and writes JSON objects to standard output, one a line: first "ready" with
the port, then "post" for each request with its path, its Authorization field and its body.
"""

import argparse
import http.server
import json
import ssl
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="speak TLS, with this chain in a PEM file ...")
    parser.add_argument("--key", help="... and its key")
    parser.add_argument("--answer", action="append", default=[], metavar="TEXT=STATUS WORDS",
                        help="answer requests whose body has the text (or all, if it is empty) with this")
    parser.add_argument("--times", type=int, default=-1, help="the answers above only so many times")
    parser.add_argument("--hang", action="store_true", help="take requests and say nothing")
    parser.add_argument("--echo", action="store_true", help="say the Authorization field in answers")
    return parser.parse_args()


def tell(event, **what):
    print(json.dumps({"event": event, **what}), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        options = self.server.options
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        authorization = self.headers.get("Authorization")
        tell("post", path=self.path, authorization=authorization, body=json.loads(body))
        if options.hang:
            time.sleep(3600)
        status, words = 200, ""
        for answer in options.answer:
            text, _, rest = answer.partition("=")
            if text in body and options.times != 0:
                options.times -= 1
                status, _, words = rest.partition(" ")
                break
        words = words.encode().decode("unicode_escape")
        if options.echo:
            words += f" {authorization}"
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(words.encode())))
        if int(status) in (301, 307):
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(words.encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        # What fails here, such as a certificate that is refused, is seen by the client.
        pass


def main():
    options = arguments()
    server = Server(("127.0.0.1", 0), Handler)
    server.options = options
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    tell("ready", port=server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
