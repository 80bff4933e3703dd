"""Drives a running Livewatt with schemathesis: requests made up from its own OpenAPI document.

Every operation gets examples, boundary values and random values, right and wrong. No answer may be
a failure of the server, none may have a status, a content type or a body that the document does
not promise, wrong data may not be taken, and none may be late.

    schema_cases.py --api http://127.0.0.1:4400 --client-id ID --client-secret SECRET
        --known '{"userId": ["ann"], "vehicleId": ["..."]}' [--examples 20] [--seed 1]
        [--cases 100000] [--operation getUser]

`--known` says what there is, so that answers without a refusal are seen as well. What is deleted is
made by this program first. With `--cases` it goes on, with one seed after the other, until so many
requests were answered. The last line is `ok: …` with their number, or the exit status is 1 and
standard output says which request got which answer, as a curl command.
"""

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import threading
from collections import Counter

import hypothesis
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.cli import schemathesis as command

# Longest wait for an answer, seconds.
PATIENCE = 10
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]
# Never ends: looked at apart from the others, and only up to where the events begin.
STREAM = "streamEvents"
# Makes a user.
LINK = {
    "scopes": ["vehicle:read:data"],
    "language": "en-US",
    "redirectUri": "https://app.example/done",
}
PLACE = {
    "name": "Soon gone",
    "latitude": 1.5,
    "longitude": 1.5,
    "timezoneName": "Europe/Oslo",
}


class Failure(Exception):
    """An answer is not as the document says."""


class Driver:
    """What the cases have in common: who calls, what there is, what was answered."""

    def __init__(self, options):
        self.options = options
        self.known = json.loads(options.known)
        self.statuses = Counter()
        self.served = set()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.session = requests.Session()
        answer = self.session.post(
            f"{options.api}/oauth2/token",
            auth=(options.client_id, options.client_secret),
            data={"grant_type": "client_credentials"},
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        self.token = answer.json()["access_token"]

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}

    def prepare(self, case):
        """Lets most cases that are right be about something that there is."""
        if not case.path_parameters:
            return
        is_delete = case.operation.method.upper() == "DELETE"
        if "actionId" in case.path_parameters:
            if is_positive(case):
                case.path_parameters["actionId"] = self.action(case.operation.path)
            return
        choice = random.Random(f"{self.options.seed} {next(self.numbers)}")
        # It also tries names that it saw in answers; what there is must not go by that.
        is_loss = is_delete and any(
            str(value) in self.known.get(name, []) for name, value in case.path_parameters.items()
        )
        if is_loss or (is_positive(case) and choice.random() < 0.8):
            known = self.made(case) if is_delete else self.known
            for name in case.path_parameters:
                if name in known:
                    case.path_parameters[name] = choice.choice(known[name])
        if isinstance(case.body, dict) and is_positive(case):
            self.point(case)

    def point(self, case):
        """Lets a schedule be for a device that there is, and not in the way of actions."""
        if not case.operation.path.startswith(("/users/{userId}/schedules", "/schedules/")):
            return
        is_new = "scheduleId" not in case.path_parameters
        if is_new or "targetId" in case.body:
            kind = "hvac" if case.body.get("targetType") == "hvac" else "charger"
            case.body["targetType"] = kind
            case.body["targetId"] = self.known[f"{kind}Id"][0]
        if is_new or "locationId" in case.body:
            if case.body.get("targetType") != "hvac":
                case.body["locationId"] = None
        case.body["isEnabled"] = False
        if is_new:
            case.path_parameters["userId"] = self.known["scheduleOwner"][0]

    def made(self, case):
        """Makes what the case is about to delete."""
        number = next(self.numbers)
        if "scheduleId" in case.path_parameters:
            schedule = {
                "targetType": "vehicle",
                "targetId": self.known["scheduleTarget"][0],
                "locationId": None,
                "isEnabled": False,
                "defaultShouldCharge": True,
                "rules": [],
            }
            owner = self.known["scheduleOwner"][0]
            return {"scheduleId": [self.post(f"/users/{owner}/schedules", schedule)["id"]]}
        if "webhookId" in case.path_parameters:
            hook = {"url": f"{self.options.receiver}?{number}", "secret": "secret of a test"}
            made = self.post("/webhooks", hook)
            return {"webhookId": [made["id"]]}
        if "locationId" in case.path_parameters:
            user = self.known["userId"][0]
            return {"locationId": [self.post(f"/users/{user}/locations", PLACE)["id"]]}
        user = f"made-{self.options.seed}-{number}"
        self.post(f"/users/{user}/link", LINK)
        return {**self.known, "userId": [user]}

    def action(self, path):
        """Makes an action of the kind that a path is about; one that the device is not at already, so
        that it is pending."""
        number = next(self.numbers)
        plural = path.split("/")[1]
        wishes = {
            "vehicles": ("vehicleId", "max-current", {"maxCurrent": 6 + number % 26}),
            "chargers": ("chargerId", "max-current", {"maxCurrent": 6 + number % 26}),
            "hvacs": ("hvacId", "permanent-hold", {"mode": "HEAT", "heatSetpoint": 19}),
            "batteries": ("batteryId", "operation-mode", {"operationMode": "IDLE"}),
        }
        variable, what, body = wishes[plural]
        device = self.known[variable][0]
        return self.post(f"/{plural}/{device}/{what}", body)["id"]

    def post(self, path, body):
        answer = self.session.post(
            self.options.api + path, json=body, headers=self.headers, timeout=PATIENCE
        )
        answer.raise_for_status()
        return answer.json()

    def count(self, operation_id, status):
        with self.lock:
            self.statuses[status] += 1
            if status < 300:
                self.served.add(operation_id)

    def total(self):
        return self.statuses.total()


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


def register(driver):
    """Has schemathesis ask the driver before and after each request."""

    @schemathesis.hook
    def before_call(context, case, kwargs):
        driver.prepare(case)

    @schemathesis.hook
    def after_call(context, case, response):
        operation_id = case.operation.definition.raw.get("operationId")
        driver.count(operation_id, response.status_code)


def run(driver, seed):
    """All cases of one seed; false if schemathesis has found something."""
    options = driver.options
    arguments = [
        "run",
        f"{options.api}/openapi.json",
        f"--url={options.api}",
        f"--header=Authorization:Bearer {driver.token}",
        "--checks=" + ",".join(CHECKS),
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={options.examples}",
        f"--seed={seed}",
        f"--request-timeout={PATIENCE}",
        f"--exclude-operation-id={STREAM}",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--warnings=off",
        "--continue-on-failure",
        "--no-color",
    ]
    if options.operation:
        arguments.append(f"--include-operation-id={options.operation}")
    try:
        return not command.main(arguments, standalone_mode=False)
    except SystemExit as ended:
        return not ended.code


def look_at_stream(driver, seed):
    """The event stream: only the beginning of each answer is read."""
    options = driver.options
    schema = schemathesis.openapi.from_url(f"{options.api}/openapi.json")
    operation = schema.find_operation_by_id(STREAM)
    documented = {int(status) for status in operation.definition.raw["responses"]}

    def look(case):
        arguments = case.as_transport_kwargs(base_url=options.api)
        arguments["headers"] = {**dict(arguments.get("headers") or {}), **driver.headers}
        with driver.session.request(**arguments, stream=True, timeout=PATIENCE) as answer:
            driver.count(STREAM, answer.status_code)
            is_stream = answer.headers["content-type"].startswith("text/event-stream")
            wanted = answer.status_code in documented and is_stream == answer.ok
            if not wanted:
                raise Failure(f"{arguments}: {answer.status_code} {answer.headers}")

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        try:
            cases = operation.as_strategy(generation_mode=mode)
        except Exception as error:  # There may be nothing to get wrong.
            print(f"{STREAM}, {mode.value}: {error}")
            continue
        settings = hypothesis.settings(
            max_examples=options.examples,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(seed)(settings(hypothesis.given(cases)(look)))()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", required=True)
    parser.add_argument("--receiver", required=True, help="address that takes any webhook")
    parser.add_argument("--known", default="{}", help="JSON: values of path variables")
    parser.add_argument("--examples", type=int, default=20, help="random cases of an operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=0, help="requests to go on until")
    parser.add_argument("--operation", help="only this one")
    options = parser.parse_args()
    driver = Driver(options)
    register(driver)
    # It leaves notes where it is run.
    os.chdir(tempfile.mkdtemp(prefix="livewatt-schema-"))
    for seed in itertools.count(options.seed):
        if not options.operation:
            look_at_stream(driver, seed)
        if not run(driver, seed):
            sys.exit(f"failed with seed {seed}, after {driver.total()} requests")
        print(f"seed {seed}: {driver.total()} requests, {dict(driver.statuses)}", flush=True)
        if driver.total() >= options.cases:
            break
    print(f"served: {sorted(driver.served)}")
    print(f"ok: {driver.total()} requests, {len(driver.served)} operations served")


if __name__ == "__main__":
    main()
