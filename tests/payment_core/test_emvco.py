"""EMVCo merchant codes: the specification's samples, round trips, and anything else somebody holds up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.emvco import (
    Field,
    MerchantCode,
    check_sum,
    join_fields,
    read_merchant_code,
    split_fields,
    template,
    write_merchant_code,
)

ASCII = (
    "00020101021229300012D156000000000510A93FO3230Q52044111530315654041.505802CN5914BEST TRANSPORT6007BEIJING63043E10"
)
CHINESE = (
    "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN5914BEST TRANSPORT"
    "6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340603***0708A60086670902ME"
    "91320016A0112233449988770708123456786304A13A"
)
FIELDS = st.lists(
    st.tuples(st.integers(1, 99).filter(lambda id_: id_ != 63), st.text(min_size=1, max_size=99)),
    max_size=5, unique_by=lambda pair: pair[0],
)  # fmt: skip


@pytest.mark.parametrize("text", [ASCII, CHINESE])
def test_the_specifications_samples(text):
    code = read_merchant_code(text)
    assert isinstance(code, MerchantCode)
    assert write_merchant_code(code.fields) == text
    assert code.is_dynamic
    assert [code.value(id_) for id_ in ("52", "53", "58", "59", "60")] == [
        "4111", "156", "CN", "BEST TRANSPORT", "BEIJING",
    ]  # fmt: skip


def test_a_length_counts_characters_and_the_check_sum_bytes():
    code = read_merchant_code(CHINESE)
    assert (code.value("54"), code.value("64", "01"), code.value("64", "02")) == ("23.72", "最佳运输", "北京")
    assert (code.value("62", "07"), code.value("62", "05"), code.value("99", "01")) == ("A6008667", "", "")


def test_our_own_code_for_one_payment():
    text = write_merchant_code(
        [
            Field("01", "12"), Field("29", template({"00": "D15600000000", "05": "A93FO3230Q"})), Field("52", "4111"),
            Field("53", "156"), Field("54", "1.50"), Field("58", "CN"), Field("59", "BEST TRANSPORT"),
            Field("60", "BEIJING"),
        ]
    )  # fmt: skip
    assert text == ASCII


@given(FIELDS)
def test_what_is_written_is_read(pairs):
    fields = tuple(Field(f"{id_:02}", value) for id_, value in pairs)
    try:
        text = write_merchant_code(fields)
    except ValueError:
        assert len(join_fields(fields)) > 512 - 14
        return
    assert read_merchant_code(text) == MerchantCode((Field("00", "01"), *fields))


@given(st.text(max_size=600) | st.text("0123456789", max_size=60))
def test_no_text_raises(text):
    read_merchant_code(text)


@given(st.integers(0, len(ASCII) - 1), st.sampled_from("0123456789ABC最"))
def test_one_wrong_character_is_seen(at, letter):
    text = ASCII[:at] + letter + ASCII[at + 1 :]
    assert isinstance(read_merchant_code(text), MerchantCode) == (text == ASCII)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no_format"), ("0002", "torn"), ("000201", "no_check_sum"), (ASCII[:-4] + "0000", "wrong_check_sum"),
        (ASCII.replace("6007", "5907"), "repeated"), ("0" * 513, "too_long"), ("00000102", "torn"),
        ("010211" + ASCII, "repeated"), ("01021163040000", "no_format"), ("0002016304\ud8000000", "torn"),
    ],
)  # fmt: skip
def test_the_first_thing_that_is_wrong(text, fault):
    assert read_merchant_code(text) == fault


def test_what_does_not_fit_is_named():
    for fields, words in (
        ([Field("1", "x")], "no id"), ([Field("59", "")], "1 to 99"), ([Field("59", "x" * 100)], "1 to 99"),
        ([Field("59", "x"), Field("59", "y")], "each id once"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            write_merchant_code(fields)
    assert split_fields(template({"02": "b", "01": "a"})) == (Field("01", "a"), Field("02", "b"))
    assert check_sum("123456789") == "29B1"
