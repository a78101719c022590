"""TOML that is hardly any, given to --config: one sentence, whatever it holds."""

import time

from hypothesis import strategies as st

from fuzz import using

SECONDS = 20
BITS = (
    *(
        "hidden",
        "lr",
        "epochs",
        "target",
        "a",
        "a.a",
        "'k'",
        '"k"',
        " = ",
        "=",
        "\n",
        "[",
        "]",
        "{",
    ),
    *("}", ",", "#", '"""', "'''", "1", "-1", "1.5", "inf", "nan", "true", "9" * 50, "0x", "1e"),
    *("1979-05-27T07:32:00Z", "07:32:00", "\\u0000", "\\", "\0", "é", "\ud7ff", "\r", "[[a]]\n"),
)
LINES = (
    *("epochs = 3\n", "hidden = [4, 2]\n", 'target = ["y"]\n', "lr = 0.1\n", 'optimizer = "sgd"\n'),
    *("[train]\n", "seed = 7\n", "strict = true\n", "size = 32\n", 'kind = ["a=number"]\n'),
)
TIMES = (1, 2, 50, 3_000, 100_000)


@st.composite
def files(draw):
    """Draw a name and the text: lines of options, and bits that may be repeated many times."""
    text = ""
    for _ in range(draw(st.integers(1, 6))):
        part = draw(st.sampled_from(BITS + LINES))
        text += part * draw(st.sampled_from(TIMES))
    return "a.toml", text.encode("utf-8", "replace")[:2_000_000]


def use(folder, drawn):
    """Read the options of a training whose data is not there."""
    name, content = drawn
    (folder / name).write_bytes(content)
    began = time.monotonic()
    with using.inside(folder):
        findings = using.run(f"train nowhere.csv --config {name}", None, None)
    if (seconds := time.monotonic() - began) > SECONDS:
        findings.append(f"toml: it took {seconds:.0f} s")
    return using.Outcome(findings, False, len(content), 0, "")
