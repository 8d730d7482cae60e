import hashlib
import hmac
import os


def hash_password(password: str) -> str:
    salt = os.urandom(16)
    return f"{salt.hex()}:{_digest(password, salt)}"


def verify_password(password: str, hashed: str) -> bool:
    salt, digest = hashed.split(":")
    return hmac.compare_digest(digest, _digest(password, bytes.fromhex(salt)))


def _digest(password: str, salt: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 100_000).hex()
