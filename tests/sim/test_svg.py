"""Labels on small drawings: they leave each other room, and stay in their frame."""

from __future__ import annotations

from xml.etree import ElementTree

from sim.svg import Drawing, Frame, Span


def placed(*marks: tuple[float, str]) -> dict[str | None, tuple[float, float]]:
    drawing = Drawing(500.0, 200.0, "x")
    frame = Frame(drawing, 50.0, 20.0, 400.0, 100.0, Span(0.0, 10.0), Span(0.0, 1.0))
    for at, words in marks:
        frame.mark(at, words, "black")
    return {
        element.text: (float(element.attrib["x"]), float(element.attrib["y"]))
        for element in ElementTree.fromstring(drawing.render()).iter()
        if element.tag.endswith("text")
    }


def test_labels_of_near_marks__stand_below_each_other() -> None:
    found = placed((2.0, "cut_link begins"), (2.5, "cut_link ends"), (2.6, "L102"))
    rows = [found[words][1] for words in ("cut_link begins", "cut_link ends", "L102")]
    assert [row - rows[0] for row in rows] == [0.0, 12.0, 24.0]


def test_labels_of_far_marks__stand_in_one_row() -> None:
    found = placed((1.0, "one"), (5.0, "two"))
    assert found["one"][1] == found["two"][1]


def test_label_at_the_right_edge__ends_in_the_frame() -> None:
    x, _ = placed((9.9, "cut_link begins"))["cut_link begins"]
    assert x + 0.5 * 10 * len("cut_link begins") < 450.0
