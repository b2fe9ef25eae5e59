"""The catalogue of everything a person is told: id, severity, English and Chinese text.

Each text says what happened – what the machine does – what you do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Alert classes after IMO MSC.302(87): a higher one is drawn above a lower one."""

    INFO = 0
    CAUTION = 1
    WARNING = 2
    ALARM = 3
    EMERGENCY = 4


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the catalogue."""

    id: str
    severity: Severity
    en: str
    zh: str


_ROWS = (
    # Commands and link
    Event("L101", Severity.WARNING,
          "Commands late - traction off, steering held - wait, it clears by itself",
          "指令延迟-牵引切断,转向保持-请等待自动恢复"),
    Event("L102", Severity.ALARM,
          "Commands lost - machine stopping - when the link is good again: reset, then arm",
          "指令中断-机器停车-链路恢复后复位再上电"),
    Event("L103", Severity.CAUTION,
          "Link slow - speed reduced in proportion - drive on slowly",
          "链路延迟大-按比例限速-请慢行"),
    Event("L104", Severity.CAUTION,
          "One of two command paths silent - speed reduced - tell the network engineer",
          "一条指令通道中断-限速-请通知网络工程师"),
    Event("L105", Severity.ALARM,
          "Lease lost or given up - machine stopping - take control again after standstill",
          "控制权失效或已释放-机器停车-停稳后重新获取控制权"),
    Event("L106", Severity.CAUTION,
          "Retained command refused - it was not acted on - find who retains commands",
          "拒绝保留指令-未执行-请查找发布者"),
    # Picture
    Event("V101", Severity.WARNING,
          "Picture late - speed falling - slow down",
          "画面延迟-速度降低-请减速"),
    Event("V102", Severity.ALARM,
          "Picture too old or frozen - machine stopping - wait for a live picture, reset, arm",
          "画面过旧或停滞-机器停车-画面恢复后复位上电"),
    Event("V103", Severity.ALARM,
          "Driver's screen not healthy - machine stopping - show the driving page, reset, arm",
          "驾驶屏异常-机器停车-显示驾驶页后复位上电"),
    # Driver
    Event("D101", Severity.ALARM,
          "Enable open or controls silent while moving - machine stopping - reset, then arm",
          "行驶中使能断开或操纵无信号-机器停车-复位后上电"),
    Event("D102", Severity.WARNING,
          "Enable never seen released - motion refused - release it and press again",
          "未检测到使能释放-拒绝行驶-松开后重新按下"),
    Event("D103", Severity.ALARM,
          "No input change for a long time - machine stopping - reset, then arm",
          "长时间无操作-机器停车-复位后上电"),
    Event("D104", Severity.WARNING,
          "Throttle and brake together - brake wins, traction off - release one",
          "油门刹车同时踩下-制动优先-请松开其一"),
    Event("D105", Severity.ALARM,
          "Driver stopped it (STOP or disarm) - machine stopping - reset, then arm",
          "驾驶员停车(停车或下电)-机器停车-复位后上电"),
    Event("D106", Severity.ALARM,
          "STOP from another post - machine stopping - ask why, then reset and arm",
          "其他岗位要求停车-机器停车-查明原因后复位上电"),
    Event("D107", Severity.WARNING,
          "A control is out of its range - the command was refused - check the controls",
          "操纵量超范围-指令拒绝-检查操纵装置"),
    # Machine
    Event("M101", Severity.ALARM,
          "By-wire ECU silent - machine stopping by its ECU and relay - call maintenance",
          "线控单元无响应-机器自行停车-请报修"),
    Event("M102", Severity.ALARM,
          "By-wire ECU stopped the machine - it stays stopped - read its reason, reset, arm",
          "线控单元停车-保持停车-查看原因后复位上电"),
    Event("M103", Severity.ALARM,
          "Machine does not follow its command - machine stopping - call maintenance",
          "执行与指令不符-机器停车-请报修"),
    Event("M104", Severity.ALARM,
          "Watchdog relay open - machine stopping - reset, then arm",
          "看门狗继电器断开-机器停车-复位后上电"),
    Event("M105", Severity.EMERGENCY,
          "Emergency stop pressed - machine stopping hard - release it at the machine, reset",
          "急停按下-紧急停车-现场释放后复位"),
    Event("M106", Severity.EMERGENCY,
          "Emergency stop channels disagree - machine stopping hard - call maintenance",
          "急停双通道不一致-紧急停车-请报修"),
    Event("M107", Severity.ALARM,
          "Speed unknown - machine stopping - call maintenance",
          "车速未知-机器停车-请报修"),
    Event("M108", Severity.ALARM,
          "Over-speed - machine stopping - reset, then arm",
          "超速-机器停车-复位后上电"),
    Event("M109", Severity.ALARM,
          "Machine tilted too far - machine stopping - look before you move",
          "倾斜超限-机器停车-确认安全后再操作"),
    Event("M110", Severity.ALARM,
          "Supply voltage low - machine stopping - call maintenance",
          "电压过低-机器停车-请报修"),
    Event("M111", Severity.INFO,
          "Key at the machine is on LOCAL - remote driving refused - ask the person there",
          "现场钥匙在本地位-拒绝遥控-请联系现场人员"),
    Event("M112", Severity.EMERGENCY,
          "Machine moved while stopped - emergency stop requested - call maintenance",
          "停车状态下移动-请求急停-请报修"),
    Event("M113", Severity.ALARM,
          "Zone limit breached - machine stopping - ask the control room",
          "越界-机器停车-请联系调度"),
    Event("M114", Severity.ALARM,
          "Second sender on the by-wire bus - machine stopping - call maintenance",
          "线控总线出现第二个发送者-机器停车-请报修"),
    Event("M115", Severity.ALARM,
          "Emergency-stop chain, key or supply unknown - machine stopping - call maintenance",
          "急停回路、钥匙或电源状态未知-机器停车-请报修"),
    Event("M116", Severity.WARNING,
          "Steering, brake or tilt not reported - traction off - wait, or call maintenance",
          "转向、制动或倾角无反馈-牵引切断-请等待或报修"),
    Event("M117", Severity.ALARM,
          "Watchdog relay does not open - machine stopped, motion refused - call maintenance",
          "看门狗继电器触点粘连-停车并拒绝行驶-请报修"),
    # Guardian
    Event("G101", Severity.ALARM,
          "Guardian was late - machine stopped - reset, then arm; tell maintenance if it returns",
          "守护进程延迟-机器停车-复位后上电"),
    Event("G102", Severity.ALARM,
          "Clock trouble - machine stopping - restart the machine computer",
          "时钟异常-机器停车-重启车载计算机"),
    Event("G103", Severity.ALARM,
          "Keys or settings differ from the approved ones - motion refused - call the engineer",
          "密钥或设置不符-拒绝行驶-请联系工程师"),
    Event("G104", Severity.EMERGENCY,
          "Second driver heard - machine stopping - find the other console before you reset",
          "发现第二个控制者-机器停车-查明后再复位"),
    Event("G105", Severity.ALARM,
          "Guardian ended while driving - machine stopped by its ECU - reset, then arm",
          "守护进程行驶中中断-线控单元停车-复位后上电"),
    Event("G106", Severity.ALARM,
          "No record of the last run - machine stays stopped - check the machine, then reset",
          "缺少上次运行记录-保持停车-检查机器后复位"),
    Event("G107", Severity.ALARM,
          "Guardian silent - the by-wire ECU stops the machine - go to the machine, restart it",
          "守护进程无响应-线控单元停车-到现场重启"),
    # Steps
    Event("S101", Severity.INFO, "Control taken", "已获取控制权"),
    Event("S102", Severity.INFO, "Control released", "已释放控制权"),
    Event("S103", Severity.INFO, "Armed - press and hold enable", "已上电-按住使能"),
    Event("S104", Severity.WARNING, "Machine is about to move - horn sounds", "机器即将移动-鸣笛"),
    Event("S105", Severity.INFO, "Remote driving active", "遥控行驶中"),
    Event("S106", Severity.INFO, "Stopped and parked", "已停车驻车"),
    Event("S108", Severity.CAUTION,
          "Another driver asks for the machine - you keep it - offer it at standstill, or ignore",
          "其他驾驶员请求控制权-仍由您控制-停稳后可移交"),
    Event("S109", Severity.INFO, "Control handed over", "控制权已移交"),
    Event("S107", Severity.INFO, "Stop reset - arm to drive", "停车已复位-可上电"),
    # Blockers
    Event("B101", Severity.INFO, "Not at standstill - wait", "未停稳-请等待"),
    Event("B102", Severity.INFO, "Controls not neutral - release throttle, gear to neutral",
          "操纵未回零-松油门挂空挡"),
    Event("B103", Severity.INFO, "Link not yet good for 2 s - wait", "链路未稳定2秒-请等待"),
    Event("B104", Severity.INFO, "Take control first", "请先获取控制权"),
    Event("B105", Severity.INFO, "By-wire ECU not ready - wait", "线控单元未就绪-请等待"),
    Event("B106", Severity.INFO, "Another console holds the lease", "其他控制台持有控制权"),
    Event("B107", Severity.INFO, "Reset the stop first", "请先复位停车"),
    Event("B108", Severity.INFO, "Not possible now", "当前不可用"),
    Event("B109", Severity.INFO, "Your role may not do this", "权限不足"),
    Event("B111", Severity.INFO, "The driver did not offer it - ask him, then try again",
          "当前驾驶员未移交-请联系后重试"),
    Event("B112", Severity.INFO,
          "Watchdog relay not ready - motion refused - if it stays so, call maintenance",
          "看门狗继电器未就绪-拒绝行驶-持续则报修"),
    Event("B110", Severity.INFO, "The machine's record is being written - try again",
          "记录写入中-请重试"),
)  # fmt: skip

EVENTS: dict[str, Event] = {row.id: row for row in _ROWS}
if len(EVENTS) != len(_ROWS):
    raise ValueError("an event id stands twice in the catalogue")
