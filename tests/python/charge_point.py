"""A charge point that speaks OCPP 1.6J, made of the independent `ocpp` and `websockets` from PyPI.

    charge_point.py --url ws://127.0.0.1:4400/ocpp --id LW-1 --password … --listen-control
    charge_point.py --url ws://127.0.0.1:4400/ocpp --id LW-1 --password … boot preparing start bye

It connects to URL/ID at once and then takes steps, from its arguments or, with --listen-control,
one a line from standard input. After each step it prints one line of JSON:

    {"step": "start", "status": "Charging", "transaction": 7, "limit": null,
     "answers": [{"action": "StartTransaction", "payload": {…}}, …],
     "calls": [{"action": "TriggerMessage", "payload": {…}, "answer": {…}}, …]}

`answers` are the central system's to what the charge point has said since the line before, `calls`
what the central system has asked meanwhile, `limit` the current it allows in A. The first line is
that of the step `connect`.

    boot                 says who it is
    heartbeat            says that it is there
    available            tells the status Available; so do preparing, charging, finishing
    status WORD          tells any status
    start                begins a transaction and tells the status Charging
    meter KW KWH         tells the power, and the energy of this transaction
    suspend [ev|evse]    tells that the car (or the charge point) has paused
    finish               ends the transaction, the plug still in
    unplug               ends the transaction if there is one, and tells the status Available
    fault [CODE]         tells the status Faulted
    wait ACTION [COUNT] [SECONDS]
                         waits until the central system has asked this, and COUNT times, since the
                         last such wait
    closed [SECONDS]     waits until the central system hangs up
    drop                 loses the connection without a word
    connect              connects again
    bye                  hangs up properly and ends, as does the end of the steps

All answers are checked against the schemas of OCPP. A refused connection, a refused boot or start
and an answer that is not valid fail. The last line is `ok: …`, or the exit status is 1 and standard
error says what went wrong.
"""

import argparse
import asyncio
import base64
import dataclasses
import json
import logging
import sys
from collections import Counter
from datetime import datetime, timezone

import websockets
from ocpp.charge_point import remove_nones, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from websockets.asyncio.client import connect

SUBPROTOCOL = "ocpp1.6"
CONNECTOR = 1
TAG = "LIVEWATT"
ANSWER_SECONDS = 10


class Failure(Exception):
    """The central system does not do what it has to."""


class State:
    """What a charge point knows of itself; outlives its connections."""

    def __init__(self, station_id):
        self.id = station_id
        self.status = "Available"
        self.error_code = "NoError"
        self.transaction = None
        self.register_wh = 1_000_000
        self.meter_start_wh = self.register_wh
        self.power_w = 0
        self.limit = None
        self.answers = []
        self.calls = []
        self.asked = Counter()
        self.waited = Counter()

    def report(self, step):
        """What is printed after a step."""
        line = {
            "step": step,
            "status": self.status,
            "transaction": self.transaction,
            "limit": self.limit,
            "answers": self.answers,
            "calls": self.calls,
        }
        self.answers, self.calls = [], []
        # The library reads numbers as decimals.
        return json.dumps(line, default=float)


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wire(payload):
    """A payload of the library as it is on the wire."""
    return snake_to_camel_case(remove_nones(dataclasses.asdict(payload)))


class Station(ChargePoint):
    """One connection of the charge point."""

    def __init__(self, state, socket):
        super().__init__(state.id, socket, response_timeout=ANSWER_SECONDS)
        self.state = state
        self.socket = socket
        self.is_starting = False
        self.followers = set()
        self.trouble = asyncio.get_running_loop().create_future()
        self.reader = asyncio.ensure_future(self.start())

    # ---- what it says ----------------------------------------------------------------------

    async def say(self, payload):
        action = type(payload).__name__
        try:
            answer = await self.call(payload, suppress=False)
        except OCPPError as error:
            raise Failure(f"{action}: {type(error).__name__}: {error}") from error
        except asyncio.TimeoutError:
            raise Failure(f"{action}: no answer for {ANSWER_SECONDS} s") from None
        self.state.answers.append({"action": action, "payload": wire(answer)})
        return answer

    async def boot(self):
        answer = await self.say(
            call.BootNotification(
                charge_point_vendor="Alfen BV",
                charge_point_model="NG910",
                charge_point_serial_number=f"SN-{self.state.id}",
                firmware_version="1.0.0",
            )
        )
        if answer.status != "Accepted":
            raise Failure(f"BootNotification: {answer.status}")

    async def heartbeat(self):
        await self.say(call.Heartbeat())

    async def tell(self, status, error_code="NoError"):
        self.state.status, self.state.error_code = status, error_code
        await self.tell_status()

    async def tell_status(self):
        await self.say(
            call.StatusNotification(
                connector_id=CONNECTOR,
                error_code=self.state.error_code,
                status=self.state.status,
                timestamp=now(),
            )
        )

    async def begin(self):
        state = self.state
        if state.transaction is not None:
            raise Failure("a transaction is under way already")
        state.meter_start_wh = state.register_wh
        answer = await self.say(
            call.StartTransaction(
                connector_id=CONNECTOR, id_tag=TAG, meter_start=state.register_wh, timestamp=now()
            )
        )
        if answer.id_tag_info["status"] != "Accepted":
            raise Failure(f"StartTransaction: {answer.id_tag_info}")
        state.transaction, self.is_starting = answer.transaction_id, False
        await self.tell("Charging")

    async def end(self, reason):
        state = self.state
        stop = call.StopTransaction(
            transaction_id=state.transaction,
            meter_stop=state.register_wh,
            timestamp=now(),
            reason=reason,
        )
        state.transaction, state.power_w = None, 0
        await self.say(stop)

    async def tell_meter(self):
        state = self.state
        values = [
            {"value": str(state.power_w), "measurand": "Power.Active.Import", "unit": "W"},
            {
                "value": str(state.register_wh),
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            },
        ]
        if state.limit is not None:
            offered = {"value": str(state.limit), "measurand": "Current.Offered", "unit": "A"}
            values.append(offered)
        await self.say(
            call.MeterValues(
                connector_id=CONNECTOR,
                transaction_id=state.transaction,
                meter_value=[{"timestamp": now(), "sampled_value": values}],
            )
        )

    # ---- what it is asked ------------------------------------------------------------------

    def answered(self, asked, answer):
        """Remembers what was asked and what is answered."""
        action = type(asked).__name__
        entry = {"action": action, "payload": wire(asked), "answer": wire(answer)}
        self.state.calls.append(entry)
        self.state.asked[action] += 1
        return answer

    def follow(self, work):
        """Does what a call has asked for, after its answer."""
        task = asyncio.ensure_future(work)
        self.followers.add(task)
        task.add_done_callback(self.followed)

    def followed(self, task):
        self.followers.discard(task)
        if task.exception() and not self.trouble.done():
            self.trouble.set_exception(task.exception())

    @on("TriggerMessage")
    def on_trigger_message(self, requested_message, connector_id=None):
        known = requested_message in self.triggered()
        return self.answered(
            call.TriggerMessage(requested_message, connector_id),
            call_result.TriggerMessage("Accepted" if known else "NotImplemented"),
        )

    @after("TriggerMessage")
    def after_trigger_message(self, requested_message, connector_id=None):
        message = self.triggered().get(requested_message)
        if message:
            self.follow(message())

    def triggered(self):
        return {
            "BootNotification": self.boot,
            "Heartbeat": self.heartbeat,
            "StatusNotification": self.tell_status,
            "MeterValues": self.tell_meter,
        }

    @on("RemoteStartTransaction")
    def on_remote_start(self, id_tag, connector_id=None, charging_profile=None):
        plugged = self.state.status in ("Preparing", "Finishing", "SuspendedEV", "SuspendedEVSE")
        self.will_start = plugged and self.state.transaction is None and not self.is_starting
        self.is_starting |= self.will_start
        return self.answered(
            call.RemoteStartTransaction(id_tag, connector_id, charging_profile),
            call_result.RemoteStartTransaction("Accepted" if self.will_start else "Rejected"),
        )

    @after("RemoteStartTransaction")
    def after_remote_start(self, id_tag, connector_id=None, charging_profile=None):
        if self.will_start:
            self.follow(self.begin())

    @on("RemoteStopTransaction")
    def on_remote_stop(self, transaction_id):
        self.will_stop = transaction_id == self.state.transaction
        return self.answered(
            call.RemoteStopTransaction(transaction_id),
            call_result.RemoteStopTransaction("Accepted" if self.will_stop else "Rejected"),
        )

    @after("RemoteStopTransaction")
    def after_remote_stop(self, transaction_id):
        if self.will_stop:
            self.follow(self.stop_remotely())

    async def stop_remotely(self):
        await self.end("Remote")
        await self.tell("Finishing")

    @on("SetChargingProfile")
    def on_set_charging_profile(self, connector_id, cs_charging_profiles):
        schedule = cs_charging_profiles["charging_schedule"]
        in_amperes = schedule["charging_rate_unit"] == "A"
        if in_amperes:
            self.state.limit = float(schedule["charging_schedule_period"][0]["limit"])
        return self.answered(
            call.SetChargingProfile(connector_id, cs_charging_profiles),
            call_result.SetChargingProfile("Accepted" if in_amperes else "Rejected"),
        )

    @on("ClearChargingProfile")
    def on_clear_charging_profile(self, **filters):
        self.state.limit = None
        return self.answered(
            call.ClearChargingProfile(**filters), call_result.ClearChargingProfile("Accepted")
        )

    @on("GetConfiguration")
    def on_get_configuration(self, key=None):
        have = {"NumberOfConnectors": "1", "HeartbeatInterval": "300"}
        wanted = key or list(have)
        known = [
            {"key": name, "readonly": True, "value": have[name]} for name in wanted if name in have
        ]
        return self.answered(
            call.GetConfiguration(key),
            call_result.GetConfiguration(known, [name for name in wanted if name not in have]),
        )

    @on("ChangeConfiguration")
    def on_change_configuration(self, key, value):
        return self.answered(
            call.ChangeConfiguration(key, value), call_result.ChangeConfiguration("Accepted")
        )

    # ---- its end ---------------------------------------------------------------------------

    async def settled(self, step):
        """Does a step, unless the connection ends or what follows a call fails."""
        work = asyncio.ensure_future(step)
        watched = {work, self.reader, self.trouble}
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if self.trouble.done():
            raise self.trouble.exception()
        if not work.done():
            raise Failure(f"the connection has ended: {self.reader.exception()}")
        return work.result()

    async def wait_for_call(self, action, count, seconds):
        """Waits for calls of the central system, and for what follows them."""
        state = self.state
        target = state.waited[action] + count
        deadline = asyncio.get_running_loop().time() + seconds
        while state.asked[action] < target or self.followers:
            if asyncio.get_running_loop().time() > deadline:
                got = state.asked[action] - state.waited[action]
                raise Failure(f"{action} was asked {got} times, not {count}, in {seconds} s")
            await asyncio.sleep(0.01)
        state.waited[action] = target

    async def wait_closed(self, seconds):
        done, _ = await asyncio.wait({self.reader}, timeout=seconds)
        if not done:
            raise Failure(f"the central system has not hung up in {seconds} s")

    async def drop(self):
        self.socket.transport.abort()
        await asyncio.wait({self.reader})


class Story:
    """Takes steps one after the other."""

    def __init__(self, options):
        self.options = options
        self.state = State(options.id)
        self.station = None

    async def connect(self):
        options = self.options
        address = f"{options.url.rstrip('/')}/{options.id}"
        pair = base64.b64encode(f"{options.id}:{options.password}".encode()).decode()
        try:
            socket = await connect(
                address,
                subprotocols=[SUBPROTOCOL],
                additional_headers={"Authorization": f"Basic {pair}"},
                proxy=None,
            )
        except websockets.InvalidStatus as error:
            raise Failure(f"{address} answered {error.response.status_code}") from error
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            raise Failure(f"{address} cannot be reached: {error}") from error
        if socket.subprotocol != SUBPROTOCOL:
            raise Failure(f"the central system has chosen the protocol {socket.subprotocol}")
        self.station = Station(self.state, socket)

    async def take(self, line):
        """Takes one step; returns whether there may be another."""
        name, *words = line.split()
        if name == "connect":
            await self.connect()
        elif name == "closed":
            await self.station.wait_closed(float(words[0]) if words else ANSWER_SECONDS)
        elif name == "drop":
            await self.station.drop()
        elif name == "bye":
            await self.station.socket.close()
        else:
            await self.station.settled(self.work(name, words))
        print(self.state.report(line), flush=True)
        return name != "bye"

    async def work(self, name, words):
        station, state = self.station, self.state
        if name == "boot":
            await station.boot()
        elif name == "heartbeat":
            await station.heartbeat()
        elif name in ("available", "preparing", "charging", "finishing"):
            await station.tell(name.capitalize())
        elif name == "status":
            await station.tell(words[0])
        elif name == "fault":
            await station.tell("Faulted", words[0] if words else "OtherError")
        elif name == "suspend":
            state.power_w = 0
            await station.tell(f"Suspended{(words[0] if words else 'ev').upper()}")
        elif name == "start":
            await station.begin()
        elif name == "meter":
            kilowatts, kilowatt_hours = map(float, words)
            state.power_w = round(kilowatts * 1000)
            state.register_wh = state.meter_start_wh + round(kilowatt_hours * 1000)
            await station.tell_meter()
        elif name == "finish":
            await station.end("Local")
            await station.tell("Finishing")
        elif name == "unplug":
            if state.transaction is not None:
                await station.end("EVDisconnected")
            await station.tell("Available")
        elif name == "wait":
            count = int(words[1]) if len(words) > 1 else 1
            seconds = float(words[2]) if len(words) > 2 else ANSWER_SECONDS
            await station.wait_for_call(words[0], count, seconds)
        else:
            raise Failure(f"no such step: {name}")


async def lines(options):
    for step in options.steps:
        yield step
    while options.listen_control:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return
        if line.strip():
            yield line.strip()


async def tell(options):
    story = Story(options)
    taken = 0
    more = await story.take("connect")
    async for line in lines(options):
        taken += 1
        more = await story.take(line)
        if not more:
            break
    if more and not story.station.reader.done():
        await story.take("bye")
    return taken


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="address without the ID")
    parser.add_argument("--id", required=True, help="charge point ID")
    parser.add_argument("--password", required=True)
    parser.add_argument(
        "--listen-control", action="store_true", help="take steps from standard input"
    )
    parser.add_argument("steps", nargs="*", help="steps to take first; quote those with words")
    options = parser.parse_args()
    # Refusals are told by Failure; the library's own log would only tell them twice.
    logging.disable(logging.CRITICAL)
    try:
        taken = asyncio.run(tell(options))
    except Failure as failure:
        sys.exit(f"failed: {failure}")
    print(f"ok: steps taken by charge point {options.id}: {taken}")


if __name__ == "__main__":
    main()
