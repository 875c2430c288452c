#!/usr/bin/python3
"""A mail server for tests: listens on 127.0.0.1 and tells on standard output what happens.

Each line is a JSON object with the key "event": first "ready" with the port, then "hello", "auth"
and "mail" for what a client says, and "message" for each message that was taken, with its envelope
and with header, text, HTML and pictures as Python's email package reads them.
"""

import argparse
import asyncio
import json
import logging
import ssl
import warnings

from parse import parsed

from aiosmtpd.smtp import AuthResult, SMTP, Session, Envelope

# AUTH on a plain connection is one of the things to be tested.
warnings.filterwarnings("ignore", category=UserWarning)
# What fails here is seen by the client; a refused certificate would fill the screen.
logging.disable()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="listen on this port and not on any that is free")
    parser.add_argument("--tls", choices=["starttls", "implicit"], help="offer STARTTLS, or speak TLS at once")
    parser.add_argument("--certificate", help="PEM file with certificate chain")
    parser.add_argument("--key", help="PEM file with its key")
    parser.add_argument("--user", help="require AUTH as this user ...")
    parser.add_argument("--password", help="... with this password")
    parser.add_argument("--auth-answer", help="answer every AUTH with this; {password} is what was sent")
    parser.add_argument("--rcpt-answer", action="append", default=[], metavar="ADDRESS=ANSWER",
                        help="answer RCPT of an address (or * for any)")
    parser.add_argument("--data-answer", help="answer each message with this")
    parser.add_argument("--mail-answer", help="answer MAIL with this")
    parser.add_argument("--data-fault", choices=["drop", "hang", "drop-after"],
                        help="hang up, or say nothing, amid DATA; or take the message and hang up without a word")
    parser.add_argument("--times", type=int, default=-1, help="the answers and faults above only so many times")
    parser.add_argument("--only", default="", help="... and only for messages from senders that contain this")
    parser.add_argument("--slowness", type=float, default=0, help="seconds that it takes to take a message")
    return parser.parse_args()


def tell(event, **what):
    print(json.dumps({"event": event, **what}), flush=True)


class Fault:
    """Whether to misbehave this time."""

    def __init__(self, options):
        self.left = options.times
        self.only = options.only

    def strikes(self, sender):
        if self.left == 0 or self.only not in (sender or ""):
            return False
        self.left -= 1
        return True


class Handler:
    def __init__(self, options, fault):
        self.options = options
        self.fault = fault
        self.recipients = dict(answer.split("=", 1) for answer in options.rcpt_answer)

    async def handle_EHLO(self, server, session: Session, envelope, hostname, responses):
        session.host_name = hostname
        tell("hello", name=hostname, tls=session.ssl is not None)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        tell("mail", sender=address, tls=session.ssl is not None)
        if self.options.mail_answer and self.fault.strikes(address):
            return self.options.mail_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope: Envelope, address, options):
        answer = self.recipients.get(address, self.recipients.get("*"))
        if answer and self.fault.strikes(envelope.mail_from):
            return answer.encode().decode("unicode_escape")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope: Envelope):
        if self.options.data_answer and self.fault.strikes(envelope.mail_from):
            return self.options.data_answer.encode().decode("unicode_escape")
        await asyncio.sleep(self.options.slowness)
        tell(
            "message",
            tls=session.ssl is not None,
            user=session.auth_data.login.decode() if session.authenticated else None,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            **parsed(envelope.content),
        )
        if self.options.data_fault == "drop-after" and self.fault.strikes(envelope.mail_from):
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    def __init__(self, handler, options, fault, **more):
        self.options = options
        self.fault = fault
        super().__init__(handler, hostname="mail.example.org", **more)

    async def smtp_DATA(self, argument):
        if self.options.data_fault in ("drop", "hang") and self.fault.strikes(self.envelope.mail_from):
            await self.push("354 Go on")
            await self._reader.readline()
            tell(self.options.data_fault)
            if self.options.data_fault == "hang":
                await asyncio.sleep(3600)
            self.transport.abort()
            return
        await super().smtp_DATA(argument)


async def main():
    options = arguments()
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    fault = Fault(options)
    handler = Handler(options, fault)

    def authenticate(server, session, envelope, mechanism, data):
        tell("auth", user=data.login.decode(), tls=session.ssl is not None)
        if options.auth_answer:
            answer = options.auth_answer.replace("{password}", data.password.decode())
            return AuthResult(success=False, handled=False, message=answer)
        right = (data.login.decode(), data.password.decode()) == (options.user, options.password)
        # The data is kept so that a message can tell as whom it came.
        return AuthResult(success=right, handled=False, auth_data=data)

    def conversation():
        return Server(
            handler,
            options,
            fault,
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            auth_required=options.user is not None,
            auth_require_tls=options.tls == "starttls",
            authenticator=authenticate,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(
        conversation, "127.0.0.1", options.port, ssl=context if options.tls == "implicit" else None
    )
    tell("ready", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
