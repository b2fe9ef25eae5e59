"""What still stands before the next step, worded as what the driver does about it."""

from __future__ import annotations

from collections.abc import Callable

from operator_console.core.hands import PAGE, Hands, Words
from protocol.events import EVENTS

TO_DO: dict[str, Words] = {
    "L102": ("Wait for the link", "等待链路恢复"),
    "L105": ("Take control again", "重新获取控制权"),
    "V101": ("Wait for a live picture", "等待实时画面"),
    "V102": ("Wait for a live picture", "等待实时画面"),
    "V103": ("Show this page and its picture", "显示驾驶页及画面"),
    "D103": ("Move a control", "动一下操纵器"),
    "D104": ("Release throttle or brake", "松开油门或刹车"),
    "M101": (
        "By-wire ECU does not report – wait; if it stays so, call maintenance",
        "线控单元无反馈 – 请等待,持续则报修",
    ),
    "M102": ("Wait for the by-wire ECU", "等待线控单元"),
    "M104": ("Watchdog relay is open – wait", "看门狗继电器断开 – 请等待"),
    "M105": ("Release the E-stop at the machine", "现场释放急停"),
    "M106": ("E-stop channels differ – call maintenance", "急停双通道不一致 – 请报修"),
    "M107": ("Speed is unknown – call maintenance", "车速未知 – 请报修"),
    "M109": ("Machine is tilted – look before you move", "机器倾斜 – 先确认安全"),
    "M110": ("Supply voltage is low – call maintenance", "电压过低 – 请报修"),
    "M111": ("Ask for the key at the machine: it is on LOCAL", "现场钥匙在本地位 – 请联系现场"),
    "M113": ("Outside its zone – ask the control room", "越界 – 请联系调度"),
    "M115": (
        "Safety chain not reported – wait; if it stays so, call maintenance",
        "安全回路无反馈 – 请等待,持续则报修",
    ),
    "M117": ("Watchdog relay does not open – call maintenance", "看门狗继电器粘连 – 请报修"),
    "G103": ("Keys or settings differ – call the engineer", "密钥或设置不符 – 请联系工程师"),
    "B101": ("Wait for standstill", "等待停稳"),
    "B102": ("Set the controls to neutral", "操纵回零"),
    "B103": ("Wait: link good for less than 2 s", "请等待:链路稳定不足2秒"),
    "B105": ("Wait for the by-wire ECU", "等待线控单元"),
    "B112": ("Wait for the watchdog relay", "等待看门狗继电器"),
}
"""By event id. None says what the machine does: where this is shown, it stands."""

BY_HAND: dict[str, Callable[[Hands], Words]] = {
    "D101": lambda hands: hands.hold_again,
    "D102": lambda hands: hands.again,
}
"""What depends on the controls that are used."""


def to_do(
    event_id: str,
    not_neutral: tuple[str, ...],
    *,
    held: bool,
    input_ok: bool,
    hands: Hands = PAGE,
) -> Words:
    """Return what the driver does about a blocker.

    Args:
        event_id: as the machine reports it.
        not_neutral: the driver's controls that ask for motion.
        held: the dead-man is held.
        input_ok: a valid driver input is in force.
        hands: how the controls are called.
    """
    if event_id == "B102":
        return _neutral(not_neutral, hands, held=held, input_ok=input_ok)
    if event_id in BY_HAND:
        return BY_HAND[event_id](hands)
    if event_id in TO_DO:
        return TO_DO[event_id]
    event = EVENTS.get(event_id)
    return (event_id, event_id) if event is None else (event.en, event.zh)


def _neutral(not_neutral: tuple[str, ...], hands: Hands, *, held: bool, input_ok: bool) -> Words:
    if not input_ok:
        return hands.silent
    if not_neutral:
        words = [hands.neutral[name] for name in not_neutral]
        english, chinese = ", ".join(w[0] for w in words), "，".join(w[1] for w in words)
        return (f"Not neutral: {english}", f"未回零：{chinese}")
    return hands.let_go if held else TO_DO["B102"]
