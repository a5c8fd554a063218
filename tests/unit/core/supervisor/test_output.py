"""Every line says who said it."""

import io
import os

from core.supervisor.output import Printer


def test_each_line_of_a_text_has_its_name():
    output = io.StringIO()

    Printer(colored=False, output=output).say("one\ntwo", name="web")

    assert output.getvalue() == "web      | one\nweb      | two\n"


def test_a_stream_is_printed_line_by_line_whatever_its_bytes():
    output = io.StringIO()
    printer = Printer(colored=False, output=output)

    printer.follow(io.BytesIO(b"one\n\n\xff\nlast without end"), name="worker").join()

    assert output.getvalue().splitlines() == [
        "worker   | one",
        "worker   | \N{REPLACEMENT CHARACTER}",
        "worker   | last without end",
    ]


def test_a_very_long_line_is_cut():
    output = io.StringIO()

    Printer(colored=False, output=output).say("x" * 100_000, name="web")

    assert len(output.getvalue()) < 5_000


def test_an_output_nobody_reads_is_no_reason_to_fall_over():
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "w") as closed_pipe:
        Printer(colored=False, output=closed_pipe).say("one", name="web")
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)


def test_names_have_colors_of_their_own_only_where_they_are_wanted():
    output = io.StringIO()
    printer = Printer(colored=True, output=output)

    printer.say("a", name="web")
    printer.say("b", name="worker")
    printer.say("c", name="web")

    first, second, third = (line.partition("m")[0] for line in output.getvalue().splitlines())
    assert first == third != second
