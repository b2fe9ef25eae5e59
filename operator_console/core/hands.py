"""How the driver's controls are called: on the page's keyboard, and on a desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operator_console.core.desk import Fault

Words = tuple[str, str]
"""English and Chinese."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What the driver is told to do with hands and feet.

    Attributes:
        enable, keep, again, let_go: about the dead-man. opened: it was let go.
        arm, gear, park: how each is done. silent: nothing comes from the controls.
        fell_silent: nothing came for {ms} while enable was held.
        neutral: what brings each control to rest.
    """

    enable: Words
    keep: Words
    again: Words
    let_go: Words
    hold_again: Words
    opened: Words
    arm: Words
    gear: Words
    park: Words
    silent: Words
    fell_silent: Words
    neutral: Mapping[str, Words]


PAGE = Hands(
    enable=("Hold Shift to enable", "按住 Shift 使能"),
    keep=("Driving: letting go of Shift stops", "行驶中：松开 Shift 即停车"),
    again=("Let go of Shift, then hold it", "先松开再按住 Shift"),
    let_go=("Let go of Shift", "松开 Shift"),
    hold_again=("Hold Shift again", "重新按住 Shift"),
    opened=("Shift was let go", "Shift 已松开"),
    arm=("Arm: hold [ ] \\ for 1.5 s", "上电：按住 [ ] \\ 1.5 秒"),
    gear=("Select gear: hold S, press E", "挂挡：按住 S 再按 E"),
    park=("Release the park brake: hold P", "释放驻车：按住 P"),
    silent=("Controls are silent – check this page", "操纵无信号 – 请检查页面"),
    fell_silent=(
        "Page did not report for {ms} ms – close other programs on this computer",
        "页面 {ms} 毫秒无输入 – 请关闭本机其他程序",
    ),
    neutral={
        "gear": ("gear to N (hold S, press Q or E)", "挂空挡（按住 S 再按 Q 或 E）"),
        "throttle": ("release the throttle (W)", "松油门（W）"),
        "steering": ("let the steering centre (A, D)", "转向回中（A、D）"),
        "dump": ("release the dump body (PgUp, PgDn)", "松开货箱操纵"),
        "unproven": ("move every control once", "各操纵器动一次"),
    },
)

DESK = Hands(
    enable=("Press and hold the enable switch", "按住使能开关"),
    keep=("Driving: letting go of enable stops", "行驶中：松开使能即停车"),
    again=("Let go of enable, then hold it", "先松开再按住使能开关"),
    let_go=("Let go of the enable switch", "松开使能开关"),
    hold_again=("Hold enable again", "重新按住使能开关"),
    opened=("The enable switch was let go", "使能开关已松开"),
    arm=("Arm: hold the confirm button for 1.5 s", "上电：按住确认键 1.5 秒"),
    gear=("Select gear: brake, press the gear button", "挂挡：踩住制动并按挡位键"),
    park=("Release the park brake: hold its button", "释放驻车：按住驻车键"),
    silent=("Desk is silent – see what is missing", "操纵台无信号 – 查看缺失项"),
    fell_silent=(
        "Desk did not report for {ms} ms – close other programs on this computer",
        "操纵台 {ms} 毫秒无输入 – 请关闭本机其他程序",
    ),
    neutral={
        "gear": ("gear to N (brake, press the gear button)", "挂空挡（踩住制动按挡位键）"),
        "throttle": ("let go of the throttle", "松油门"),
        "steering": ("turn the wheel to where the machine is", "方向盘对准机器转向"),
        "dump": ("release the dump body", "松开货箱操纵"),
        "unproven": ("press and let go of each pedal", "各踏板踩下再松开"),
    },
)

_FAULTS: dict[Fault, Words] = {
    Fault.ABSENT: ("{device} is not plugged in", "{device} 未连接"),
    Fault.OTHER: (
        "{device} is in another port, or another one: calibrate it",
        "{device} 端口或型号不符：请重新标定",
    ),
    Fault.DENIED: (
        "{device} may not be read: see docs/cockpit.md, permissions",
        "{device} 无读取权限：见 docs/cockpit.md",
    ),
    Fault.TORN: ("{device} lost events: wait", "{device} 丢失事件：请等待"),
    Fault.SILENT: (
        "{device} is silent: check its cable and its power",
        "{device} 无信号：查线缆和电源",
    ),
    Fault.RANGE: ("{device} reports what it cannot: check its cable", "{device} 数值异常：查线缆"),
    Fault.STOP_HELD: (
        "STOP is held: release it; if it stays so, check its wire",
        "停车键未复位：请松开，持续则查线",
    ),
    Fault.CONTACTS: (
        "Enable contacts disagree: let go of it; if it stays so, replace the switch",
        "使能双触点不一致：请松开，持续则更换开关",
    ),
    Fault.SEAT: ("Nobody in the seat: sit down, then enable anew", "座椅无人：请就座后重新使能"),
    Fault.BARRED: ("Let go of enable, then press it", "先松开再按住使能开关"),
    Fault.CONFLICT: (
        "Throttle and brake together: let go of the throttle fully",
        "油门制动同时踩下：请完全松开油门",
    ),
}


DESK_KEEPS_ENDING: Words = (
    "Desk program keeps ending: tried again each minute – tell the engineer",
    "操纵台程序反复退出：每分钟重试 – 请告知工程师",
)


def fault_words(fault: Fault, device: str) -> Words:
    """Return what is wrong with the desk and what to do; empty when nothing is."""
    english, chinese = _FAULTS.get(fault, ("", ""))
    name = device.capitalize()
    return english.replace("{device}", name), chinese.replace("{device}", name)
