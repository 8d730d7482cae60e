import os
import smtplib
import urllib.request
from email.message import EmailMessage
from html import escape


def draw(name: str) -> bytes:
    return f"<svg xmlns='http://www.w3.org/2000/svg'><text>{escape(name)}</text></svg>".encode()


def make_label(part_id: int, name: str) -> None:
    request = urllib.request.Request(
        f"{os.environ['STORE_URL']}/{part_id}.svg", data=draw(name), method="PUT"
    )
    urllib.request.urlopen(request, timeout=10).close()

    message = EmailMessage()
    message["Subject"] = f"A label for {name}"
    message["From"] = "inventory@inventory.example"
    message["To"] = os.environ.get("MAIL_TO", "keeper@inventory.example")
    message.set_content("It can be printed.")
    with smtplib.SMTP(os.environ["MAIL_HOST"], int(os.environ.get("MAIL_PORT", "25"))) as smtp:
        smtp.send_message(message)
