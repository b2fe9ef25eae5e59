"""What still stands before the next step, worded as what the driver does about it."""

from __future__ import annotations

from protocol.events import EVENTS

Words = tuple[str, str]

TO_DO: dict[str, Words] = {
    "L102": ("Wait for the link", "等待链路恢复"),
    "L105": ("Take control again", "重新获取控制权"),
    "V101": ("Wait for a live picture", "等待实时画面"),
    "V102": ("Wait for a live picture", "等待实时画面"),
    "V103": ("Show this page and its picture", "显示驾驶页及画面"),
    "D101": ("Hold Shift again", "重新按住 Shift"),
    "D102": ("Let go of Shift, then hold it", "先松开再按住 Shift"),
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

NEUTRAL: dict[str, Words] = {
    "gear": ("gear to N (hold S, press Q or E)", "挂空挡（按住 S 再按 Q 或 E）"),
    "throttle": ("release the throttle (W)", "松油门（W）"),
    "steering": ("let the steering centre (A, D)", "转向回中（A、D）"),
    "dump": ("release the dump body (PgUp, PgDn)", "松开货箱操纵"),
}
"""What brings each control to neutral."""


def to_do(event_id: str, not_neutral: tuple[str, ...], *, held: bool, input_ok: bool) -> Words:
    """Return what the driver does about a blocker.

    Args:
        event_id: as the machine reports it.
        not_neutral: the driver's controls that ask for motion.
        held: the dead-man is held.
        input_ok: a valid driver input is in force.
    """
    if event_id == "B102":
        return _neutral(not_neutral, held=held, input_ok=input_ok)
    if event_id in TO_DO:
        return TO_DO[event_id]
    event = EVENTS.get(event_id)
    return (event_id, event_id) if event is None else (event.en, event.zh)


def _neutral(not_neutral: tuple[str, ...], *, held: bool, input_ok: bool) -> Words:
    if not input_ok:
        return ("Controls are silent – check this page", "操纵无信号 – 请检查页面")
    if not_neutral:
        words = [NEUTRAL[name] for name in not_neutral]
        english, chinese = ", ".join(w[0] for w in words), "，".join(w[1] for w in words)
        return (f"Not neutral: {english}", f"未回零：{chinese}")
    return ("Let go of Shift", "松开 Shift") if held else TO_DO["B102"]
