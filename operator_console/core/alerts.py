"""Which plain words stand before the driver: one message and one next step at a time.

Rows are ordered by what matters most; the first that holds is shown. Each says what happened,
what the machine does, what the driver does. Levels follow IMO MSC.302(87).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from operator_console.core.desk import Fault
from operator_console.core.engagement import DRIVING_MODES, LATCHED_MODES, STOP_MODES, Engagement
from operator_console.core.hands import PAGE, Hands, Words
from operator_console.core.ladder import Rung, first_missing
from operator_console.core.letgo import Away, LetGo
from operator_console.core.steps import to_do
from protocol.events import EVENTS
from protocol.state import VehicleMode


class Level(StrEnum):
    """How much a message matters; the catalogue's severities by name."""

    EMERGENCY = "emergency"
    ALARM = "alarm"
    WARNING = "warning"
    CAUTION = "caution"
    INFO = "info"


CONFLICT_CAUSES = frozenset({"G104"})
"""Catalogue ids that mean a second controller was heard."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the choice of words depends on.

    Attributes:
        engagement: how far this console has got.
        link_up: a command path stands.
        state_known: a vehicle state younger than 500 ms is here.
        mode: as the vehicle reports it; None when unknown.
        warning_ms: left of the vehicle's warning before first motion.
        lease_lost: the lease went without being asked to.
        cause: event id of what stopped or limits the machine, None for none.
        stop_unconfirmed: a stop is pending for longer than 500 ms.
        input_ok: a valid driver input is in force.
        input_barred: this machine does not take input from a page.
        display_ok: the driver's screen is alive and fresh.
        picture_seen: a picture has been presented since the page came.
        must_release: enable is barred until the dead-man was let go.
        held: the dead-man is held.
        estop: the hard-wired chain as the vehicle reports it.
        blockers: event ids that stand before the next step.
        neutral: the driver's controls are at rest.
        gear, park: as the driver asks; None without a valid input.
        not_neutral: names of the driver's controls that ask for motion.
        holder: who else holds the machine, None when nobody does.
        queued: the request for the lease waits for its holder.
        waiting: who waits for this console's lease. takes_over: and is a supervisor.
        let_go: why enable fell, None when it did not.
        hands: how the controls are called.
        fault: what is wrong with the desk. desk_fault: the same in words.
        rungs: of the arming ladder; none where a page's keyboard drives.
        unrecorded: this cockpit's recorder has lost something just now, or records nothing.
        page_behind: the driver's page paints, but what it was told longer ago than it may be.
    """

    engagement: Engagement
    link_up: bool
    state_known: bool
    mode: VehicleMode | None
    warning_ms: int | None
    lease_lost: bool
    cause: str | None
    stop_unconfirmed: bool
    input_ok: bool
    input_barred: bool
    display_ok: bool
    picture_seen: bool
    must_release: bool
    held: bool
    estop: str
    blockers: tuple[str, ...]
    neutral: bool
    gear: int | None
    park: bool | None
    not_neutral: tuple[str, ...] = ()
    holder: str | None = None
    queued: bool = False
    waiting: str | None = None
    takes_over: bool = False
    let_go: LetGo | None = None
    hands: Hands = PAGE
    fault: Fault = Fault.NONE
    desk_fault: Words = ("", "")
    rungs: tuple[Rung, ...] = ()
    unrecorded: bool = False
    page_behind: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """Words for the driver in both languages, under one code in logs and on screen."""

    code: str
    level: Level
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Step:
    """The one thing to do next; ``action`` names the button that does it, empty for none."""

    action: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class _Row:
    holds: Callable[[Situation], bool]
    message: Message


def _row(code: str, level: Level, holds: Callable[[Situation], bool], en: str, zh: str) -> _Row:
    return _Row(holds, Message(code, level, en, zh))


INPUT_LOST, DESK_FAULT = "C111", "C126"

_LEASED = frozenset({Engagement.LEASED, Engagement.ARMED, Engagement.ENABLED})

BEFORE_CAUSE: tuple[_Row, ...] = (
    _row(
        "C101",
        Level.EMERGENCY,
        lambda s: s.stop_unconfirmed,
        "STOP NOT CONFIRMED – the machine has not answered – use the hard-wired E-stop",
        "停车未确认 – 机器无应答 – 请用硬线急停",
    ),
    _row(
        "C102",
        Level.EMERGENCY,
        lambda s: s.cause in CONFLICT_CAUSES,
        "SECOND CONTROLLER HEARD – machine stops – call the site supervisor",
        "发现第二操控方 – 机器停车 – 请联系现场主管",
    ),
    _row(
        "C104",
        Level.ALARM,
        lambda s: not s.link_up,
        "LINK LOST – the machine stops by itself – wait for the link",
        "链路中断 – 机器自行停车 – 请等待恢复",
    ),
    _row(
        "C105",
        Level.ALARM,
        lambda s: not s.state_known,
        "STATE UNKNOWN – nothing heard from the machine – do not assume it stands",
        "状态未知 – 收不到机器信息 – 勿认为已停车",
    ),
    _row(
        "C106",
        Level.ALARM,
        lambda s: s.lease_lost,
        "CONTROL LOST – the machine withdrew the lease – take control again",
        "控制权已失 – 机器收回授权 – 请重新申请",
    ),
    _row(
        "C125",
        Level.ALARM,
        lambda s: s.fault is Fault.CONFLICT and s.mode in DRIVING_MODES and s.engagement in _LEASED,
        "THROTTLE AND BRAKE TOGETHER – the throttle counts no more – let go of it fully",
        "油门制动同时踩下 – 油门不再起作用 – 请完全松开油门",
    ),
)
"""What matters more than the vehicle's own words."""

AFTER_CAUSE: tuple[_Row, ...] = (
    _row(
        "C103",
        Level.ALARM,
        lambda s: s.mode is VehicleMode.ESTOP and s.estop == "open",
        "EMERGENCY STOP – machine stopped – release it at the machine, then reset",
        "急停 – 机器已停 – 现场释放急停后再复位",
    ),
    _row(
        "C117",
        Level.ALARM,
        lambda s: s.mode is VehicleMode.ESTOP,
        "EMERGENCY STOP – machine stopped – see the next step",
        "急停 – 机器已停 – 见下一步",
    ),
    _row(
        "C107",
        Level.ALARM,
        lambda s: s.mode is VehicleMode.FAULT,
        "MACHINE FAULT – machine stopped – see the cause, call maintenance",
        "机器故障 – 已停车 – 查看原因并报修",
    ),
    _row(
        "C108",
        Level.ALARM,
        lambda s: s.mode is VehicleMode.STOPPING,
        "STOPPING – the machine brakes by itself – let go of enable",
        "正在停车 – 机器自行制动 – 请松开使能",
    ),
    _row(
        "C127",
        Level.ALARM,
        lambda s: s.page_behind and s.mode in DRIVING_MODES,
        "SCREEN BEHIND – it shows what is old – the machine stops – brake",
        "屏幕滞后 – 显示内容已过时 – 机器停车 – 请制动",
    ),
    _row(
        "C109",
        Level.ALARM,
        lambda s: s.picture_seen and not s.display_ok and s.mode in DRIVING_MODES,
        "NO LIVE IMAGE – the machine slows, then stops – brake",
        "画面停滞 – 机器减速后停车 – 请制动",
    ),
    _row(
        "C110",
        Level.WARNING,
        lambda s: s.mode is VehicleMode.STOPPED,
        "STOPPED – the stop is latched – reset when the cause is gone",
        "已停车 – 停车锁定 – 原因消除后复位",
    ),
    _row(
        INPUT_LOST,
        Level.WARNING,
        lambda s: s.engagement in _LEASED and not s.input_ok and not s.input_barred,
        "INPUT LOST – no enable is sent – check the controls and this page",
        "输入丢失 – 未发送使能 – 检查操纵器和页面",
    ),
    _row(
        DESK_FAULT,
        Level.WARNING,
        lambda s: bool(s.desk_fault[0]) and s.fault is not Fault.BARRED and s.engagement in _LEASED,
        "DESK – see what is missing",
        "操纵台 – 查看缺失项",
    ),
    _row(
        "C112",
        Level.WARNING,
        lambda s: s.mode is VehicleMode.DEGRADED,
        "DEGRADED – the machine limits itself – slow down",
        "降级运行 – 机器自行限速 – 请减速",
    ),
    _row(
        "C113",
        Level.CAUTION,
        lambda s: (
            ((s.held and s.must_release) or s.fault is Fault.BARRED) and s.engagement in _LEASED
        ),
        "ENABLE BARRED – let go of enable first",
        "使能受限 – 请先松开使能",
    ),
    _row(
        "C128",
        Level.CAUTION,
        lambda s: s.page_behind,
        "SCREEN BEHIND – the machine will not move – close other programs",
        "屏幕滞后 – 机器不会移动 – 请关闭其他程序",
    ),
    _row(
        "C114",
        Level.CAUTION,
        lambda s: not s.display_ok,
        "NO LIVE IMAGE – the machine will not move",
        "无实时画面 – 机器不会移动",
    ),
    _row(
        "C115",
        Level.CAUTION,
        lambda s: s.mode is VehicleMode.LOCAL,
        "LOCAL – the machine is driven on board",
        "本地模式 – 由车上操作",
    ),
    _row(
        "C116",
        Level.CAUTION,
        lambda s: s.engagement is Engagement.OTHER,
        "ANOTHER OPERATOR has control",
        "其他操作员正在控制",
    ),
    _row(
        "C124",
        Level.CAUTION,
        lambda s: s.unrecorded,
        "COCKPIT NOT RECORDED in full – driving goes on – tell the engineer",
        "驾驶舱记录不完整 – 行驶不受影响 – 请告知工程师",
    ),
)
"""What is said when the vehicle names no cause, or none is needed."""


EXPLAINS = frozenset({"D101", "V103"})
"""Causes that the console can explain from what it saw itself."""

LET_GO: dict[Away, Message] = {
    Away.SILENT: Message(
        "C118",
        Level.INFO,
        "{silent}",
        "{silent}",
    ),
    Away.GONE: Message(
        "C119",
        Level.INFO,
        "Page hidden or left – keep this page in front while driving",
        "页面被隐藏或离开 – 行驶时保持页面在前",
    ),
    Away.BLURRED: Message(
        "C120",
        Level.INFO,
        "Window lost focus – click nothing else while driving",
        "窗口失去焦点 – 行驶时勿点击别处",
    ),
    Away.OPENED: Message("C121", Level.INFO, "{opened}", "{opened}"),
    Away.DESK: Message("C123", Level.INFO, "{desk}", "{desk}"),
}
"""What the console saw when enable fell, one row for each way."""


def explanation(situation: Situation) -> Message | None:
    """Return what the console knows of the stop that stands, None when it knows nothing."""
    let_go = situation.let_go
    if let_go is None or situation.mode not in STOP_MODES or situation.cause not in EXPLAINS:
        return None
    message = LET_GO[let_go.why]
    english, chinese = (
        text.replace("{silent}", situation.hands.fell_silent[language])
        .replace("{ms}", f"{let_go.silent_ms:.0f}")
        .replace("{opened}", situation.hands.opened[language])
        .replace("{desk}", let_go.words[language])
        for language, text in enumerate((message.en, message.zh))
    )
    return replace(message, en=english, zh=chinese)


def catalogue_message(event_id: str) -> Message:
    """Return the catalogue's words for an event; an unknown id is shown as it is."""
    event = EVENTS.get(event_id)
    if event is None:
        return Message(event_id, Level.CAUTION, event_id, event_id)
    return Message(event.id, Level(event.severity.name.lower()), event.en, event.zh)


def standing_message(situation: Situation) -> Message | None:
    """Return the message to show, None when all is as it should be."""
    found = _first(BEFORE_CAUSE, situation) or _cause(situation) or _first(AFTER_CAUSE, situation)
    if found is not None and found.code in _DESK_HEADS and situation.desk_fault[0]:
        found = _told_by_desk(found, situation.desk_fault)
    if found is not None and found.level not in (Level.CAUTION, Level.INFO):
        return found
    return _asked_for(situation) or found


_DESK_HEADS: dict[str, Words] = {
    INPUT_LOST: ("INPUT LOST – no enable is sent", "输入丢失 – 未发送使能"),
    DESK_FAULT: ("DESK", "操纵台"),
}
"""What stands before the words of the desk's fault."""


def _told_by_desk(found: Message, fault: Words) -> Message:
    english, chinese = _DESK_HEADS[found.code]
    return replace(found, en=f"{english} – {fault[0]}", zh=f"{chinese} – {fault[1]}")


def _asked_for(s: Situation) -> Message | None:
    """Someone else wants the machine that this console holds."""
    if s.waiting is None or s.engagement not in _LEASED:
        return None
    if s.takes_over:
        english = f"{s.waiting} TAKES OVER – the machine stops first – let it stand"
        return Message("S108", Level.CAUTION, english, f"{s.waiting} 接管 – 机器先停车 – 请停稳")
    return Message(
        "S108",
        Level.CAUTION,
        f"{s.waiting} asks for the machine – you keep it – hand it over at standstill, or ignore",
        f"{s.waiting} 请求控制权 – 仍由您控制 – 停稳后可移交",
    )


def _first(rows: tuple[_Row, ...], situation: Situation) -> Message | None:
    return next((row.message for row in rows if row.holds(situation)), None)


def _cause(situation: Situation) -> Message | None:
    if situation.cause is None:
        return None
    message = catalogue_message(situation.cause)
    if situation.mode in LATCHED_MODES:
        words = message.en.replace("stopping hard", "stopped").replace("stopping", "stopped")
        message = replace(message, en=words)
    if situation.mode is VehicleMode.STOPPED and message.level is Level.ALARM:
        return replace(message, level=Level.WARNING)
    return message


def next_step(situation: Situation) -> Step | None:
    """Return what the driver does next to get moving, None while driving or when barred."""
    s = situation
    if s.engagement is Engagement.STOPPING or not s.state_known or not s.link_up:
        return None
    if s.engagement is Engagement.ASKING and s.queued:
        english, chinese = (s.holder, f" {s.holder} ") if s.holder else ("the machine", "机器")
        return Step("", f"Asked – {english} decides", f"已请求 – 等待{chinese}决定")
    if s.engagement is Engagement.ASKING:
        return Step("", "Waiting for the machine's answer", "等待机器应答")
    if s.mode is VehicleMode.STOPPING:
        return Step("", "Wait for standstill", "等待停稳")
    if s.engagement is Engagement.FREE:
        return Step("lease", "Take control (lease)", "申请控制权")
    if s.engagement is Engagement.OTHER:
        return None
    return _step_with_lease(s)


def _step_with_lease(s: Situation) -> Step | None:
    if s.mode in (VehicleMode.STOPPED, VehicleMode.ESTOP, VehicleMode.FAULT):
        return _step_to_reset(s)
    if s.mode is VehicleMode.LEASED:
        return _step_to_arm(s)
    if s.warning_ms is not None and s.warning_ms > 0:
        left_s = f"{s.warning_ms / 1000:.1f}"
        return Step(
            "", f"Motion warning {left_s} s: keep holding", f"起步预警 {left_s} 秒：保持按住"
        )
    if s.desk_fault[0]:
        return Step("", *s.desk_fault)
    if s.mode is VehicleMode.ARMED:
        if s.must_release and s.held:
            return Step("", *s.hands.again)
        return _blocked(s) or Step("enable", *s.hands.enable)
    return _step_to_move(s)


def _blocked(s: Situation) -> Step | None:
    if not s.blockers:
        return None
    words = to_do(s.blockers[0], s.not_neutral, held=s.held, input_ok=s.input_ok, hands=s.hands)
    return Step("", *words)


_CHAIN_STEPS = {
    "open": ("Release the E-stop at the machine", "现场释放急停"),
    "discrepancy": ("E-stop channels differ – call maintenance", "急停双通道不一致 – 请报修"),
}
_CHAIN_SILENT = ("By-wire ECU does not report – call maintenance", "线控单元无反馈 – 请报修")


def _step_to_reset(s: Situation) -> Step:
    if s.estop != "closed":
        return Step("", *_CHAIN_STEPS.get(s.estop, _CHAIN_SILENT))
    if s.fault is Fault.STOP_HELD:
        return Step("", *s.desk_fault)
    if s.held or s.fault is Fault.BARRED:
        return Step("", "Let go of enable", "松开使能")
    return _blocked(s) or Step("reset", "Reset", "复位")


def _step_to_arm(s: Situation) -> Step:
    if not s.display_ok:
        return Step("", "Wait for the live image", "等待实时画面")
    rung = first_missing(s.rungs)
    if rung is not None and rung.missing is not None:
        return Step("", *rung.missing)
    return _blocked(s) or Step("arm", *s.hands.arm)


def _step_to_move(s: Situation) -> Step | None:
    if s.gear == 0:
        return Step("gear", *s.hands.gear)
    if s.park:
        return Step("park", *s.hands.park)
    return Step("", *s.hands.keep)
