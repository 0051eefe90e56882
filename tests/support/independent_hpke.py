"""HPKE base mode by hand, from RFC 9180 and docs/wire/ehb1.md alone: nothing here is taken from this project's code.

The ephemeral key is given, so that what is sealed here can be made again bit by bit. ML-KEM-768's encapsulation is
written out from FIPS 203 for the same reason: libraries draw its 32 random bytes themselves. The last part tells which
Ed25519 keys are of small order.
"""

import functools
import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

# KEM, AEAD and length of enc, by the batch's suite. KDF is HKDF-SHA256 for all.
SUITES: Final = {1: (0x0020, 0x0003, 32), 2: (0x0020, 0x0002, 32), 3: (0x647A, 0x0003, 1_120)}
AEADS: Final = {0x0002: AESGCM, 0x0003: ChaCha20Poly1305}
XWING: Final = 0x647A
XWING_LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")
TAG: Final = 16


def seal(suite: int, public: bytes, info: bytes, plain: bytes, ephemeral: bytes, *, aad: bytes = b"") -> bytes:
    """Return enc and ciphertext. `ephemeral`: X25519's private key; suite 3 has ML-KEM's 32 random bytes before it."""
    kem, aead, _ = SUITES[suite]
    shared, enc = (_xwing_encapsulate if kem == XWING else _dhkem_encapsulate)(public, ephemeral)
    key, nonce = _schedule(kem, aead, shared, info)
    return enc + AEADS[aead](key).encrypt(nonce, plain, aad or None)


def unseal(suite: int, private: bytes, info: bytes, sealed: bytes, *, aad: bytes = b"") -> bytes | None:
    """Return what was sealed, or None where it does not open."""
    kem, aead, length = SUITES[suite]
    if len(sealed) < length + TAG:
        return None
    try:
        shared = (_xwing_decapsulate if kem == XWING else _dhkem_decapsulate)(private, sealed[:length])
        key, nonce = _schedule(kem, aead, shared, info)
        return AEADS[aead](key).decrypt(nonce, sealed[length:], aad or None)
    except (InvalidTag, ValueError):  # ValueError: an X25519 point of small order, or a private key of another suite
        return None


@functools.cache
def public_of(private: bytes) -> bytes:
    """Return the public half of a receive key: 32 bytes are X25519's, 96 are ML-KEM's seed and X25519's behind it."""
    x_public = X25519PrivateKey.from_private_bytes(private[-32:]).public_key().public_bytes_raw()
    if len(private) == 32:
        return x_public
    return MLKEM768PrivateKey.from_seed_bytes(private[:64]).public_key().public_bytes_raw() + x_public


# ------------------------------------------------------------------------------------------- RFC 9180, 4 and 5.1
def _extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite_id + label + ikm, "sha256")


def _expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2) + b"HPKE-v1" + suite_id + label + info
    out = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + labeled + bytes([counter]), "sha256")
        out += block
    return out[:length]


def _schedule(kem: int, aead: int, shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return key and base nonce, which is the nonce of sequence number 0. Both AEADs: key 32, nonce 12 bytes."""
    suite_id = b"HPKE" + kem.to_bytes(2) + (1).to_bytes(2) + aead.to_bytes(2)
    psk_id_hash = _extract(suite_id, b"", b"psk_id_hash", b"")
    context = b"\0" + psk_id_hash + _extract(suite_id, b"", b"info_hash", info)
    secret = _extract(suite_id, shared, b"secret", b"")
    return _expand(suite_id, secret, b"key", context, 32), _expand(suite_id, secret, b"base_nonce", context, 12)


def _dhkem_shared(dh: bytes, enc: bytes, public: bytes) -> bytes:
    suite_id = b"KEM" + (0x0020).to_bytes(2)
    return _expand(suite_id, _extract(suite_id, b"", b"eae_prk", dh), b"shared_secret", enc + public, 32)


def _dhkem_encapsulate(public: bytes, ephemeral: bytes) -> tuple[bytes, bytes]:
    enc = public_of(ephemeral)
    return _dhkem_shared(_x25519(ephemeral, public), enc, public), enc


def _dhkem_decapsulate(private: bytes, enc: bytes) -> bytes:
    if len(private) != 32:
        message = "no key of this suite"
        raise ValueError(message)
    return _dhkem_shared(_x25519(private, enc), enc, public_of(private))


def _x25519(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


# ---------------------------------------------------------------------------------------------- MLKEM768-X25519
def _xwing_shared(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + XWING_LABEL).digest()


def _xwing_encapsulate(public: bytes, ephemeral: bytes) -> tuple[bytes, bytes]:
    pk_m, pk_x, x_private = public[:1_184], public[1_184:], ephemeral[32:]
    ss_m, ct_m = mlkem768_encapsulate(pk_m, ephemeral[:32])
    ct_x = public_of(x_private)
    return _xwing_shared(ss_m, _x25519(x_private, pk_x), ct_x, pk_x), ct_m + ct_x


def _xwing_decapsulate(private: bytes, enc: bytes) -> bytes:
    if len(private) != 96:
        message = "no key of this suite"
        raise ValueError(message)
    ss_m = MLKEM768PrivateKey.from_seed_bytes(private[:64]).decapsulate(enc[:1_088])
    ct_x, x_private = enc[1_088:], private[64:]
    return _xwing_shared(ss_m, _x25519(x_private, ct_x), ct_x, public_of(x_private))


# --------------------------------------------------------------- FIPS 203: Encaps_internal of ML-KEM-768, and no more
Q: Final = 3_329
K: Final = 3  # k of ML-KEM-768; its eta is 2, du 10, dv 4
Poly = list[int]
_ZETAS: Final = [pow(17, int(f"{i:07b}"[::-1], 2), Q) for i in range(128)]
_GAMMAS: Final = [pow(17, 2 * int(f"{i:07b}"[::-1], 2) + 1, Q) for i in range(128)]


def mlkem768_encapsulate(public: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Return shared secret and ciphertext for the 32 random bytes `m`."""
    both = hashlib.sha3_512(m + hashlib.sha3_256(public).digest()).digest()
    return both[:32], _encrypt(public, m, both[32:])


def _encrypt(public: bytes, m: bytes, dice: bytes) -> bytes:
    t = [_unpack12(public[384 * i : 384 * (i + 1)]) for i in range(K)]
    rho = public[384 * K :]
    y = [_ntt(_noise(dice, i)) for i in range(K)]
    out = b""
    for i in range(K):  # u = A^T y + e1
        row = _dot([_uniform(rho + bytes([i, j])) for j in range(K)], y)
        out += _pack_small(_add(_inverse_ntt(row), _noise(dice, K + i)), 10)
    message = [((m[i // 8] >> (i % 8)) & 1) * 1_665 for i in range(256)]
    v = _add(_add(_inverse_ntt(_dot(t, y)), _noise(dice, 2 * K)), message)
    return out + _pack_small(v, 4)


def _unpack12(data: bytes) -> Poly:
    bits = int.from_bytes(data, "little")
    return [(bits >> (12 * i)) & 0xFFF for i in range(256)]


def _pack_small(poly: Poly, d: int) -> bytes:
    """Return Compress_d and ByteEncode_d of a polynomial."""
    bits = sum(((((c << d) + Q // 2) // Q) % (1 << d)) << (d * i) for i, c in enumerate(poly))
    return bits.to_bytes(32 * d, "little")


def _uniform(seed: bytes) -> Poly:
    """Return SampleNTT of rho and two indices: 168 bytes a block, four of five draws hold."""
    stream, found = hashlib.shake_128(seed).digest(168 * 8), []
    for at in range(0, len(stream), 3):
        a, b, c = stream[at : at + 3]
        found += [d for d in (a + 256 * (b % 16), b // 16 + 16 * c) if d < Q]
    assert len(found) >= 256
    return found[:256]


def _noise(dice: bytes, n: int) -> Poly:
    """Return SamplePolyCBD of eta 2."""
    bits = int.from_bytes(hashlib.shake_256(dice + bytes([n])).digest(128), "little")
    of = [(bits >> i) & 1 for i in range(1_024)]
    return [(of[4 * i] + of[4 * i + 1] - of[4 * i + 2] - of[4 * i + 3]) % Q for i in range(256)]


def _ntt(poly: Poly) -> Poly:
    f, k, length = list(poly), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta, k = _ZETAS[k], k + 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def _inverse_ntt(poly: Poly) -> Poly:
    f, k, length = list(poly), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta, k = _ZETAS[k], k - 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [c * 3_303 % Q for c in f]


def _dot(left: list[Poly], right: list[Poly]) -> Poly:
    total = [0] * 256
    for a, b in zip(left, right, strict=True):
        for i, gamma in enumerate(_GAMMAS):
            a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
            total[2 * i] += a0 * b0 + a1 * b1 * gamma
            total[2 * i + 1] += a0 * b1 + a1 * b0
    return [c % Q for c in total]


def _add(a: Poly, b: Poly) -> Poly:
    return [(x + y) % Q for x, y in zip(a, b, strict=True)]


# ---------------------------------------------------------------------------- Ed25519 public keys of small order
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P


def is_of_small_order(public: bytes) -> bool:
    """Tell whether eight times this point is the neutral one. RFC 8032, 5.1.3 and 5.1.4, y taken modulo p."""
    y = (int.from_bytes(public, "little") & ((1 << 255) - 1)) % _P
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if v * x * x % _P != u:
        return False  # no point of the curve: no signature holds under it
    for _ in range(3):
        t = _D * x * x * y * y
        x, y = 2 * x * y * pow(1 + t, -1, _P) % _P, (y * y + x * x) * pow(1 - t, -1, _P) % _P
    return (x, y) == (0, 1)
