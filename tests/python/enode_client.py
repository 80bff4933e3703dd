"""Drives a running Livewatt with the contract's published client, `enode` from PyPI.

The client is told nothing but addresses and credentials, as any customer's program would. It is
strict: an answer with another status, another content type, a missing key or an unknown word does
not parse, and then this program fails. It calls every operation of the client that Livewatt serves,
the good way and the bad one. What destroys comes last, on the throwaway user, who is made if new.

    enode_client.py --api http://127.0.0.1:4400 --token-url http://127.0.0.1:4400/oauth2/token
        --client-id ID --client-secret SECRET --user-id USER --throwaway-user-id OTHER
        [--devices-expected [vehicle=2,charger=1]] [--webhook-url URL]
        [--only-costs vehicle=41.5:12.3 --since TIME --until TIME]

The last line is `ok: …`, or the exit status is 1 and standard error says what went wrong.
"""

import argparse
import json
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from operator import attrgetter
from zoneinfo import ZoneInfo

from enode import Enode, errors, models

TIMEOUT_MS = 30_000
REDIRECT_URI = "https://app.example/linked"
# More pages than this are not turned.
MOST_PAGES = 25


class Failure(Exception):
    """Something is not as the contract says."""


@dataclass
class Kind:
    """A kind of device, and how the client calls its operations."""

    name: str
    listed: str
    listed_for_user: str
    got: str
    refreshed: str
    id_argument: str
    health: str


KINDS = [
    Kind("vehicle", "vehicles.list", "vehicles.list_for_user", "vehicles.get",
         "vehicles.refresh_hint", "vehicle_id", "service_health.get_vehicle_vendors"),
    Kind("charger", "chargers.list", "chargers.list_for_user", "chargers.get",
         "chargers.refresh_data", "charger_id", "service_health.check_charger_vendors"),
    Kind("hvac", "hvac.list", "hvac.list_user_hva_cs", "hvacs.get",
         "hvacs.refresh_hint", "hvac_id", "service_health.get_hvac_vendors"),
    Kind("inverter", "solar_inverters.list_inverters", "solar_inverters.list_user_inverters",
         "solar_inverters.get_inverter", "solar_inverters.refresh_hint", "inverter_id",
         "service_health.get_inverter_vendors"),
    Kind("battery", "batteries.list", "batteries.list_user_batteries", "batteries.get",
         "batteries.refresh_data", "battery_id", "service_health.get_battery_vendors"),
    Kind("meter", "meters.list", "meters.get_by_user", "meters.get_meter",
         "meters.refresh_hint", "meter_id", "service_health.get_meter_vendors"),
]


class Client:
    """The published client, with every call counted and every answer judged."""

    def __init__(self, sdk):
        self.sdk = sdk
        self.calls = Counter()

    def call(self, method, **arguments):
        """Calls a method, say `vehicles.get`, that has to succeed."""
        self.calls[method] += 1
        try:
            return attrgetter(method)(self.sdk)(**arguments)
        except errors.ResponseValidationError as error:
            raise Failure(
                f"{method}: the answer does not parse: {error.cause}\n{error.body[:2000]}"
            ) from error
        except errors.EnodeError as error:
            raise Failure(f"{method}: {error.status_code} {error.body[:2000]}") from error
        except Exception as error:  # No connection, or no token: the client has no class for it.
            raise Failure(f"{method}: {type(error).__name__}: {error}") from error

    def refused(self, method, status, error_class=errors.EnodeDefaultError, **arguments):
        """Calls a method that has to be refused with this status and this class of the client."""
        self.calls[method] += 1
        try:
            attrgetter(method)(self.sdk)(**arguments)
        except errors.EnodeError as error:
            if (type(error), error.status_code) != (error_class, status):
                raise Failure(
                    f"{method}: expected {error_class.__name__} {status}, got "
                    f"{type(error).__name__} {error.status_code}: {error.body[:2000]}"
                ) from error
            expect_problem(method, error.body)
            return
        raise Failure(f"{method}: expected {status}, but it succeeded")

    def unparsed(self, method, or_status=200, **arguments):
        """Calls a method that succeeds, but whose answer this client cannot parse by a defect of its
        own; returns the answer, or that with another status that may come instead. If it can by now,
        the defect is gone and `call` is to be used."""
        self.calls[method] += 1
        try:
            attrgetter(method)(self.sdk)(**arguments)
        except errors.ResponseValidationError as error:
            expect(error.status_code == 200, f"{method}: {error.status_code} {error.body}")
            return json.loads(error.body)
        except errors.EnodeError as error:
            if error.status_code == or_status:
                return json.loads(error.body)
            raise Failure(f"{method}: {error.status_code} {error.body[:2000]}") from error
        raise Failure(f"{method}: the client parses the answer now: do not expect a defect")

    def refused_as(self, method, status, error_class, **arguments):
        """Calls a method that has to be refused with what this class of the client carries, which is
        no problem document."""
        self.calls[method] += 1
        try:
            attrgetter(method)(self.sdk)(**arguments)
        except error_class as error:
            expect(error.status_code == status, f"{method}: {error.status_code} {error.body}")
            return
        except errors.EnodeError as error:
            raise Failure(f"{method}: {error.status_code} {error.body[:2000]}") from error
        raise Failure(f"{method}: expected {status}, but it succeeded")


def expect(condition, message):
    if not condition:
        raise Failure(message)


def expect_problem(method, body):
    """The body of a refusal says what is wrong, in the contract's form."""
    try:
        problem = json.loads(body)
        texts = [problem[key] for key in ("type", "title", "detail")]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{method}: refused without a problem document: {body[:500]!r}") from None
    expect(all(isinstance(text, str) and text for text in texts), f"{method}: {problem}")


def turn_pages(client, method, page_size, **arguments):
    """Reads a list to its end and back again; returns the items."""
    pages = []
    after = None
    while len(pages) < MOST_PAGES:
        page = client.call(method, page_size=page_size, after=after, **arguments)
        where = f"{method}, page {len(pages) + 1} of {page_size} an item"
        expect(len(page.data) <= page_size, f"{where}: {len(page.data)} items")
        expect((page.pagination.before is None) == (not pages), f"{where}: a wrong `before`")
        pages.append(page)
        after = page.pagination.after
        if after is None:
            break
        expect(len(page.data) == page_size, f"{where}: not full, yet there are more")

    ids = [[item.id for item in page.data] for page in pages]
    for number in reversed(range(1, len(pages))):
        before = pages[number].pagination.before
        page = client.call(method, page_size=page_size, before=before, **arguments)
        expect(
            [item.id for item in page.data] == ids[number - 1],
            f"{method}: going back from page {number + 1} leads elsewhere than to page {number}",
        )
    flat = [one for page in ids for one in page]
    expect(len(flat) == len(set(flat)), f"{method}: an item comes twice")
    return [item for page in pages for item in page.data]


def check_list(client, method, **arguments):
    """A list is the same list whatever the size of its pages; returns its items."""
    items = turn_pages(client, method, 50, **arguments)
    singly = turn_pages(client, method, 1, **arguments)
    ids = [item.id for item in items]
    expect(
        [item.id for item in singly] == ids[: len(singly)],
        f"{method}: pages of one hold other items than pages of fifty",
    )
    client.refused(method, 400, page_size=0, **arguments)
    client.refused(method, 400, after="no cursor", **arguments)
    client.refused(method, 400, after="a", before="b", **arguments)
    return items


def check_users(client, user_id):
    ids = [user.id for user in check_list(client, "user_management.list")]
    expect(user_id in ids, f"user {user_id} is not listed")
    user = client.call("user_management.get", user_id=user_id)
    expect(user.id == user_id, f"asked for user {user_id}, got {user.id}")
    client.refused("user_management.get", 404, user_id=f"nobody-{uuid.uuid4()}")
    return user


def check_kind(client, kind, user_id):
    """Lists, reads and refreshes; returns all devices of the kind and those of the user."""
    devices = check_list(client, kind.listed)
    of_user = check_list(client, kind.listed_for_user, user_id=user_id)
    expect(
        all(device.user_id == user_id for device in of_user),
        f"{kind.listed_for_user}: a device of somebody else",
    )
    if len(devices) < MOST_PAGES * 50:
        known = {device.id for device in devices}
        unlisted = [device.id for device in of_user if device.id not in known]
        expect(not unlisted, f"{kind.listed}: {unlisted} of user {user_id} are missing")
    for device in of_user:
        got = client.call(kind.got, **{kind.id_argument: device.id})
        same = (got.id, got.user_id, got.vendor) == (device.id, user_id, device.vendor)
        expect(same, f"{kind.got}: {got} is not the listed {device}")
        client.call(kind.refreshed, **{kind.id_argument: device.id})
    nothing = {kind.id_argument: str(uuid.uuid4())}
    client.refused(kind.got, 404, **nothing)
    client.refused(kind.refreshed, 404, **nothing)
    strangers = client.call(kind.listed_for_user, user_id=f"nobody-{uuid.uuid4()}")
    expect(strangers.data == [], f"{kind.listed_for_user}: devices of a user that is not there")
    return devices, of_user


def link_arguments(user_id, **more):
    return {
        "user_id": user_id,
        "scopes": list(models.Scopes),
        "language": models.LinkUserPayloadLanguage.EN_US,
        "redirect_uri": REDIRECT_URI,
        **more,
    }


def check_linking(client, user_id):
    link = "user_management.post_users_userid_link"
    choices = [
        {},
        {"language": models.LinkUserPayloadLanguage.BROWSER},
        {"vendor_type": models.VendorType.CHARGER},
        {"color_scheme": models.LinkUserPayloadColorScheme.DARK, "redirect_uri": "myapp://linked"},
    ]
    tokens = set()
    for choice in choices:
        session = client.call(link, **link_arguments(user_id, **choice))
        expect(session.link_url.startswith("http"), f"{link}: link URL {session.link_url!r}")
        expect(session.link_token, f"{link}: no link token")
        tokens.add(session.link_token)
    expect(len(tokens) == len(choices), f"{link}: one token for two sessions")
    client.refused(link, 400, **link_arguments(user_id, redirect_uri="about:blank"))
    client.refused(link, 400, **link_arguments(user_id, scopes=[]))


def relink_arguments(asset_id):
    language = models.RelinkUserPayloadLanguage.EN_US
    return {"asset_id": asset_id, "language": language, "redirect_uri": REDIRECT_URI}


def check_relinking(client, devices):
    relink = "user_management.relink_asset"
    for device in devices:
        client.refused(relink, 400, errors.ProblemError, **relink_arguments(device.id))
    client.refused(relink, 400, errors.ProblemError, **relink_arguments(str(uuid.uuid4())))


def check_locations(client, user_id, devices):
    """Places, and the chargers and HVAC units that are said to be there; returns one that stays."""
    create, not_found = "locations.create", errors.EnodeDefaultError
    home = client.call(
        create, user_id=user_id, name="Home", latitude=59.91, longitude=10.75,
        timezone_name="Europe/Oslo",
    )
    expect(home.user_id == user_id and home.timezone_name == "Europe/Oslo", f"{create}: {home}")
    away = client.call(create, user_id=user_id, name="Away", latitude=-33.9, longitude=151.2)
    expect(away.timezone_name == "UTC", f"{create}: {away}")
    client.refused(create, 400, user_id=user_id, name="x", latitude=91, longitude=0)
    client.refused(create, 404, user_id=f"nobody-{uuid.uuid4()}", name="x", latitude=1, longitude=1)
    for method, arguments in [("locations.list", {}), ("locations.list_for_user", {"user_id": user_id})]:
        listed = [location.id for location in check_list(client, method, **arguments)]
        expect(listed[:2] == [away.id, home.id], f"{method}: not newest first: {listed}")
    got = client.call("locations.get", location_id=home.id)
    expect((got.id, got.name) == (home.id, "Home"), f"locations.get: {got}")
    changed = client.call("locations.update", location_id=home.id, name="Cabin")
    # The client sends this one whether it is asked to or not.
    expect((changed.name, changed.timezone_name) == ("Cabin", "UTC"), f"{changed}")
    expect(changed.latitude == home.latitude, f"locations.update: {changed}")
    client.call("locations.update", location_id=home.id, timezone_name="Europe/Oslo")
    for kind, method, argument in [
        ("charger", "chargers.update", "charger_id"), ("hvac", "hvac.update", "hvac_id"),
    ]:
        for device in devices[kind]:
            there = client.call(method, **{argument: device.id, "location_id": away.id})
            expect(there.location.id == away.id, f"{method}: {there}")
            nowhere = client.call(method, **{argument: device.id, "location_id": None})
            expect(nowhere.location.id is None, f"{method}: {nowhere}")
            client.call(method, **{argument: device.id, "location_id": home.id})
            unknown = {argument: device.id, "location_id": str(uuid.uuid4())}
            client.refused(method, 400, **unknown)
    deleted = client.call("locations.delete", location_id=away.id)
    expect(deleted.id == away.id, f"locations.delete: {deleted}")
    for method in ("locations.get", "locations.update", "locations.delete"):
        client.refused(method, 404, not_found, location_id=away.id)
    return home


def check_tariffs(client, location):
    rates = [{"name": "day", "cost": "0.30"}, {"name": "night", "cost": "-.1"}]
    tariff_id = f"t-{uuid.uuid4()}"[:36]
    client.call("tariffs.create", tariff_id=tariff_id, request_body=rates)
    got = client.call("tariffs.get", tariff_id=tariff_id)
    expect([(rate.name, rate.cost) for rate in got] == [("day", "0.30"), ("night", "-0.1")], f"{got}")
    client.refused("tariffs.get", 404, tariff_id="no-such-tariff")
    twice = [rates[0], rates[0]]
    client.refused("tariffs.create", 400, tariff_id=tariff_id, request_body=twice)
    link = "tariffs.link_to_location"
    intervals = [
        {"name": "night", "from_": "00:00", "to": "06:00"},
        {"name": "day", "from_": "06:00", "to": "24:00", "weekdays": [0, 1]},
    ]
    arguments = {"location_id": location.id, "tariff_id": tariff_id}
    client.call(link, **arguments, tariff_intervals=intervals)
    rows = client.call("tariffs.get_by_location", location_id=location.id)
    expect(len(rows) == 7 + 2, f"tariffs.get_by_location: {rows}")
    last = [row for row in rows if row.weekday == 1][-1]
    expect((last.from_hour_minute, last.to_hour_minute) == ("06:00", "24:00"), f"{last}")
    overlapping = [*intervals, {"name": "day", "from_": "05:00", "to": "06:30"}]
    problem = errors.ProblemError
    client.refused(link, 400, problem, **arguments, tariff_intervals=overlapping)
    client.refused(link, 404, problem, location_id=location.id, tariff_id="unknown", tariff_intervals=[])
    nowhere = str(uuid.uuid4())
    client.refused(link, 404, problem, location_id=nowhere, tariff_id=tariff_id, tariff_intervals=[])
    client.refused("tariffs.get_by_location", 404, problem, location_id=nowhere)


def check_webhooks(client, receiver):
    Event, Change = models.WebhookCreatePayloadEvent, models.WebhookUpdatePayloadEvent
    not_valid, not_found = errors.WebhookNotValidProblemError, errors.WebhookNotFoundProblemError
    url = receiver or f"https://{uuid.uuid4()}.invalid/events"
    settings = {
        "url": url,
        "secret": "0123456789abcdef0123456789abcdef",
        "events": [Event.USER_VEHICLE_UPDATED, Event.ENODE_WEBHOOK_TEST],
        "api_version": "2024-10-01",
        "authentication": {"header_name": "x-api-key", "header_value": "open sesame"},
    }
    first = client.call("webhooks.create", **settings)
    expect(first.url == url and first.is_active, f"webhooks.create: {first}")
    expect(first.api_version == "2024-10-01", f"webhooks.create: version {first.api_version}")
    expect(first.last_success == first.created_at, f"webhooks.create: succeeded before: {first}")
    expect(first.authentication.header_name == "x-api-key", f"webhooks.create: {first}")
    expect(
        sorted(first.events) == ["enode:webhook:test", "user:vehicle:updated"],
        f"webhooks.create: events {first.events}",
    )
    client.refused("webhooks.create", 400, not_valid, **settings)
    short = {**settings, "url": f"{url}/other", "secret": "short"}
    client.refused("webhooks.create", 400, not_valid, **short)

    plain = {"url": f"https://{uuid.uuid4()}.invalid/", "secret": settings["secret"]}
    second = client.call("webhooks.create", **plain)
    expect(second.events == ["*"], f"webhooks.create: events {second.events} by default")
    expect(second.authentication is None and second.api_version is None, f"{second}")

    listed = [webhook.id for webhook in check_list(client, "webhooks.list")]
    expect(listed[:2] == [second.id, first.id], f"webhooks.list: not newest first: {listed}")
    got = client.call("webhooks.get", webhook_id=first.id)
    expect(got.url == first.url and got.created_at == first.created_at, f"webhooks.get: {got}")

    changed = client.call(
        "webhooks.update", webhook_id=first.id, events=[Change.USER_CHARGER_UPDATED],
        api_version=None, authentication=None,
    )
    unset = changed.api_version is None and changed.authentication is None
    expect(unset and changed.url == url, f"webhooks.update: {changed}")
    expect(changed.events == ["user:charger:updated"], f"webhooks.update: {changed.events}")

    for webhook, answers in [(first, receiver is not None), (second, False)]:
        result = client.call("webhooks.test", webhook_id=webhook.id)
        wanted = models.TestFirehoseWebhookStatus("SUCCESS" if answers else "FAILURE")
        expect(result.status == wanted, f"webhooks.test of {webhook.url}: {result}")
        expect((result.response is not None) == answers, f"webhooks.test: {result}")

    for webhook in (first, second):
        client.call("webhooks.delete", webhook_id=webhook.id)
        client.refused("webhooks.get", 404, not_found, webhook_id=webhook.id)
    for method in ("webhooks.update", "webhooks.delete", "webhooks.test"):
        client.refused(method, 404, not_found, webhook_id=first.id)
    client.refused("webhooks.get", 404, not_found, webhook_id="no-such-webhook")


def check_service(client):
    client.call("service_health.check_readiness")
    for kind in KINDS:
        rows = client.call(kind.health)
        vendors = [row.vendor for row in rows]
        expect(vendors, f"{kind.health}: no vendor at all")
        expect(len(vendors) == len(set(vendors)), f"{kind.health}: a vendor comes twice")
        narrow = client.call("service_health.list_integrations", asset_types=kind.name)
        wrong = [row.vendor for row in narrow if kind.name not in row.asset_types]
        expect(not wrong, f"integrations of {kind.name}: {wrong} are of other types")
        expect(
            {row.vendor.value for row in narrow} == {vendor.value for vendor in vendors},
            f"{kind.health} and the integrations of {kind.name} name different vendors",
        )
    integrations = client.call("service_health.list_integrations")
    vendors = {row.vendor.value for row in integrations}
    expect(len(vendors) == len(integrations), "integrations: a vendor comes twice")


def check_credentials(options):
    """Without credentials and with wrong ones nothing opens."""
    stranger = Client(Enode(server_url=options.api, timeout_ms=TIMEOUT_MS))
    stranger.refused("user_management.list", 401)
    security = models.Security(
        client_id=options.client_id, client_secret="wrong", token_url=options.token_url
    )
    impostor = Enode(security=security, server_url=options.api, timeout_ms=TIMEOUT_MS)
    try:
        impostor.user_management.list()
    except Exception as error:  # The client raises no class of its own here.
        expect("status code 401 from token endpoint" in str(error), f"wrong secret: {error}")
        return
    raise Failure("a wrong client secret was accepted")


def devices_of(client, user_id):
    return [
        device
        for kind in KINDS
        for device in client.call(kind.listed_for_user, user_id=user_id).data
    ]


def check_endings(client, user_id):
    """Deauthorizing keeps the devices, deleting keeps nothing."""
    deauthorize = "user_management.delete_users_userid_authorization"
    before = devices_of(client, user_id)
    client.call(deauthorize, user_id=user_id)
    after = devices_of(client, user_id)
    expect(
        {device.id for device in after} == {device.id for device in before},
        f"{deauthorize}: devices of {user_id} came or went",
    )
    vendors = client.call("user_management.get", user_id=user_id).linked_vendors
    expect(not any(vendor.is_valid for vendor in vendors), f"{deauthorize}: {vendors}")
    for device in after:
        session = client.call("user_management.relink_asset", **relink_arguments(device.id))
        expect(session.link_url.startswith("http"), f"relink_asset: {session}")
    client.call("user_management.unlink_user", user_id=user_id)
    client.refused("user_management.get", 404, user_id=user_id)
    expect(not devices_of(client, user_id), f"devices of {user_id} outlived their user")


def check_statistics(client, user_id, vehicles):
    """Of a time in which nothing was linked, there are none; whoever is asked about has to exist."""
    long_ago = {
        "start_date": datetime(2020, 1, 1, tzinfo=timezone.utc),
        "end_date": datetime(2020, 2, 1, tzinfo=timezone(timedelta(hours=1))),
    }
    for method, types, more in [
        ("statistics.get_charging", models.GetChargingStatisticsType,
         [{"resolution": one} for one in models.GetChargingStatisticsResolution]
         + [{"utc_offset": "-8"}]),
        ("statistics.get_charging_sessions", models.GetChargingSessionsStatisticsType, [{}]),
    ]:
        for kind in types:
            for one in more:
                rows = client.call(method, user_id=user_id, type_=kind, **long_ago, **one)
                expect(rows == [], f"{method}: {rows} of 2020")
        vehicle = {"type_": types.VEHICLE, **long_ago}
        nobody = f"nobody-{uuid.uuid4()}"
        client.refused(method, 404, errors.ProblemError, user_id=nobody, **vehicle)
        nothing = {"user_id": user_id, "id": str(uuid.uuid4()), **vehicle}
        client.refused(method, 404, errors.ProblemError, **nothing)
        backwards = {**vehicle, "end_date": datetime(2019, 1, 1, tzinfo=timezone.utc)}
        client.refused(method, 400, user_id=user_id, **backwards)
        for device in vehicles:
            one = {"user_id": user_id, "id": device.id, **vehicle}
            expect(client.call(method, **one) == [], f"{method} of one vehicle")


def check_costs(client, user_id, expected, since, until):
    """What charging cost is what it is said to have cost, in buckets of every length and by the
    session; `expected` is `vehicle=KWH:COST`."""
    kind, numbers = expected.split("=")
    kwh, cost = (float(number) for number in numbers.split(":"))
    times = {"start_date": since, "end_date": until}

    def check(what, rows, tolerance):
        expect(rows, f"{what}: nothing was charged")
        sums = sum(row.kwh_sum for row in rows), sum(row.cost_sum for row in rows)
        for told, wanted in zip(sums, (kwh, cost)):
            expect(abs(told - wanted) <= tolerance, f"{what}: {sums} is not {kwh} and {cost}")
        for row in rows:
            price = row.price
            expect(price.min <= price.mean <= price.max, f"{what}: {row}")
            product = row.kwh_sum * price.mean
            expect(abs(product - row.cost_sum) < 1e-4, f"{what}: {row} does not cost {product}")
            nothing = row.non_smart_price
            shifted = nothing.min, nothing.max, nothing.mean, row.estimated_savings
            expect(shifted == (None,) * 4, f"{what}: nothing was shifted: {row}")

    method = "statistics.get_charging"
    for resolution in models.GetChargingStatisticsResolution:
        type_ = models.GetChargingStatisticsType(kind)
        rows = client.call(method, user_id=user_id, type_=type_, resolution=resolution, **times)
        check(f"{method} {resolution.value}", rows, 1e-3)
    method = "statistics.get_charging_sessions"
    type_ = models.GetChargingSessionsStatisticsType(kind)
    check(method, client.call(method, user_id=user_id, type_=type_, **times), 0.02 * kwh)


def check_production(client, inverters):
    """The present is told, provisionally; what was before the inverter, or never is, is refused."""
    method = "solar_inverters.get_statistics"
    bad, unknown = errors.GetInverterStatisticsBadRequestError, errors.NotFoundError
    for inverter in inverters:
        zone = ZoneInfo(inverter.timezone or "UTC")
        today = inverter.last_seen.astimezone(zone)
        one = {"inverter_id": inverter.id, "year": today.year, "month": today.month}
        for period, resolution in [({}, "day"), ({"day": today.day}, "quarter_hour")]:
            told = client.call(method, **one, **period)
            expect(isinstance(told, models.GetInverterStatisticsResponseBody), f"{method}: {told}")
            expect(told.retry_after > inverter.last_seen, f"{method}: {told.retry_after}")
            expect(told.timezone == zone.key, f"{method}: {told.timezone}")
            entry = getattr(told.resolutions, resolution)
            expect(entry is not None and entry.unit.value == "kWh", f"{method}: {told}")
        early = {"inverter_id": inverter.id, "year": 1969, "month": 7, "day": 20}
        client.refused(method, 400, bad, **early)
        client.refused(method, 400, bad, **{**early, "year": 2999})
        client.refused(method, 400, bad, **{**early, "month": 2, "day": 30})
    nothing = {"inverter_id": str(uuid.uuid4()), "year": 2026, "month": 3}
    client.refused(method, 404, unknown, **nothing)


def check_action(client, getter, made, target, states=("PENDING",)):
    """An action is about its device, and is found again."""
    expect(made.target_id == target.id, f"an action of {target.id} is of {made.target_id}")
    expect(made.state.value in states, f"{made}")
    found = client.call(getter, action_id=made.id)
    expect(found.id == made.id and found.user_id == made.user_id, f"{getter}: {found}")
    client.refused(getter, 404, action_id=str(uuid.uuid4()))


def check_cancel(client, method, made, error_class):
    """Cancelling works as long as the device has not obeyed; then it says how the action ended."""
    client.calls[method] += 1
    try:
        ended = attrgetter(method)(client.sdk)(action_id=made.id)
        expect(ended.state.value == "CANCELLED", f"{method}: {ended}")
        # The client knows of reasons in some kinds of action only.
        reason = getattr(ended, "failure_reason", None)
        told = reason is None or reason.type.value == "REQUESTED_CANCELLATION"
        expect(told, f"{method}: {ended}")
    except error_class as error:
        expect(error.status_code == 409, f"{method}: {error.status_code} {error.body}")
    client.refused_as(method, 409, error_class, action_id=made.id)
    client.refused(method, 404, action_id=str(uuid.uuid4()))


def check_unparsed_action(client, getter, canceller, made):
    """An action that the client can make, but neither read again nor cancel."""
    found = client.unparsed(getter, action_id=made.id)
    expect(found["id"] == made.id, f"{getter}: {found}")
    # The device may have obeyed meanwhile.
    ended = client.unparsed(canceller, or_status=409, action_id=made.id)
    expect(ended["state"] in ("CANCELLED", "CONFIRMED"), f"{canceller}: {ended}")
    for method in (getter, canceller):
        client.refused(method, 404, action_id=str(uuid.uuid4()))


def check_actions(client, by_kind):
    """What devices can be told."""
    for vehicle in by_kind["vehicle"]:
        made = client.call(
            "vehicles.set_max_current", vehicle_id=vehicle.id, max_current=7
        )
        expect(made.target_state.max_current == 7, f"vehicles.set_max_current: {made}")
        check_action(client, "vehicles.get_action", made, vehicle)
        made = client.call("experimental.set_max_current", vehicle_id=vehicle.id, max_current=9)
        expect(made.target_state.max_current == 9, f"experimental.set_max_current: {made}")
        power = client.call("vehicles.get", vehicle_id=vehicle.id).charge_state
        wish = {"vehicle_id": vehicle.id, "action": models.ChargingAction.STOP}
        if power.power_delivery_state.value == "PLUGGED_IN:CHARGING":
            made = client.call("vehicles.control_charging", **wish)
            check_action(client, "vehicles.get_action", made, vehicle)
            check_cancel(client, "vehicles.cancel_action", made, errors.ChargeActionError)
        elif power.power_delivery_state.value == "UNPLUGGED":
            client.refused("vehicles.control_charging", 400, errors.ProblemError, **wish)
    for charger in by_kind["charger"]:
        wish = {"charger_id": charger.id, "max_current": 11}
        made = client.call("chargers.set_max_current", **wish)
        expect(made.target_id == charger.id, f"chargers.set_max_current: {made}")
        check_unparsed_action(client, "chargers.get_action", "chargers.cancel_action", made)
        wish["max_current"] = -1
        client.refused("chargers.set_max_current", 400, errors.ProblemError, **wish)
        power = client.call("chargers.get", charger_id=charger.id).charge_state
        wish = {"charger_id": charger.id, "action": models.ChargingAction.STOP}
        if power.power_delivery_state.value == "PLUGGED_IN:CHARGING":
            made = client.call("chargers.control_charging", **wish)
            expect(made.target_id == charger.id, f"chargers.control_charging: {made}")
        elif power.power_delivery_state.value == "UNPLUGGED":
            client.refused("chargers.control_charging", 400, errors.ProblemError, **wish)
        wish["charger_id"] = str(uuid.uuid4())
        client.refused("chargers.control_charging", 404, **wish)
    for hvac in by_kind["hvac"]:
        hold = {"mode": "HEAT", "heat_setpoint": 21.5}
        wish = {"hvac_id": hvac.id, "hvac_set_permanent_hold_payload": hold}
        made = client.call("hvacs.set_permanent_hold", **wish)
        expect(made.target.heat_setpoint == 21.5, f"hvacs.set_permanent_hold: {made}")
        check_unparsed_action(client, "hvac.get_action", "hvac.cancel_hvac_action", made)
        hold["heat_setpoint"] = 60
        client.refused("hvacs.set_permanent_hold", 400, errors.ProblemError, **wish)
        made = client.call("hvacs.set_follow_schedule", hvac_id=hvac.id)
        expect(made.target_id == hvac.id, f"hvacs.set_follow_schedule: {made}")
    for battery in by_kind["battery"]:
        modes = models.SetBatteryOperationModePayloadOperationMode
        wish = {"battery_id": battery.id, "operation_mode": modes.IMPORT_FOCUS}
        made = client.call("batteries.set_operation_mode", **wish)
        check_action(client, "batteries.get_action", made, battery)
        check_cancel(client, "batteries.cancel_action", made, errors.BatteryError)
        wish["operation_mode"] = modes.EXPORT_FOCUS
        client.refused("batteries.set_operation_mode", 400, errors.ProblemError, **wish)


def check_interventions(client, by_kind):
    """What stands in the way of devices is in the catalogue, which tells it in several languages."""
    listed, got = "interventions.list", "interventions.get"
    everything = client.call(listed)
    expect(everything, f"{listed}: nothing at all")
    german = models.ListInterventionsLanguage.DE_DE
    translated = client.call(listed, language=german)
    pairs = list(zip(everything, translated, strict=True))
    for entry, other in pairs:
        expect(entry.id == other.id, f"{listed}: in another order in German")
        expect(entry.resolution.title != other.resolution.title, f"{listed}: not translated: {other}")
        alone = client.call(
            got, intervention_id=entry.id, language=models.GetInterventionLanguage.DE_DE
        )
        told = alone.id, alone.resolution.title, alone.resolution.description
        listed_as = other.id, other.resolution.title, other.resolution.description
        expect(told == listed_as, f"{got}: {alone} is not the listed {other}")
    known = {entry.id for entry in everything}
    for kind, devices in by_kind.items():
        of_kind = client.call(listed, vendor_type=models.VendorType(kind))
        expect({entry.id for entry in of_kind} <= known, f"{listed}: others of {kind}")
        for device in devices:
            for name, capability in device.capabilities:
                ids = set(getattr(capability, "intervention_ids", []))
                expect(ids <= known, f"{kind} {device.id}: {name} names unknown {ids - known}")
    client.refused(got, 404, intervention_id=str(uuid.uuid4()))


def check_smart_charging(client, vehicles):
    """Policies that are off, which any vehicle can have."""
    for vehicle in vehicles:
        about = {"vehicle_id": vehicle.id}
        policy = client.call("vehicles.get_smart_charging_policy", **about)
        expect(not policy.is_enabled, f"vehicles.get_smart_charging_policy: {policy}")
        change = {"minimum_charge_limit": 10, "deadline": "06:30"}
        policy = client.call("vehicles.update_smart_charging_policy", **about, **change)
        expect(policy.minimum_charge_limit == 10 and policy.deadline == "06:30", f"{policy}")
        embedded = client.call("vehicles.get", **about).smart_charging_policy
        expect(embedded.deadline == "06:30", f"vehicles.get: {embedded}")
        change = {"minimum_charge_limit": 100.5}
        update = "vehicles.update_smart_charging_policy"
        refused = errors.UpdateVehicleSmartChargingPolicyBadRequestError
        client.refused(update, 400, refused, **about, **change)
        status = client.call("vehicles.get_smart_charging_status", **about)
        expect(status.state.value == "DISABLED", f"vehicles.get_smart_charging_status: {status}")
        expect(status.plan is None and status.smart_override is None, f"{status}")
        check_override(client, about)
        client.refused("vehicles.end_smart_override", 404, errors.ProblemError, **about)


def check_override(client, about):
    """A vehicle that is plugged in charges at once, whatever else is wanted."""
    begin, end = "vehicles.create_smart_override", "vehicles.end_smart_override"
    power = client.call("vehicles.get", **about).charge_state.power_delivery_state.value
    if power in ("PLUGGED_IN:CHARGING", "PLUGGED_IN:STOPPED"):
        begun = client.call(begin, **about)
        expect((begun.target_id, begun.ended_at) == (about["vehicle_id"], None), f"{begin}: {begun}")
        expect(client.call(end, **about).ended_at is not None, f"{end}: it goes on")
    elif power == "UNPLUGGED":
        client.refused(begin, 400, **about)


def check_hem_systems(client, batteries):
    """The system that a battery is part of, and what flowed there; the client parses no list of them."""
    client.call("hems.list")
    status, statistics = "hem_systems.get_hems_status", "hem_systems.get_hems_statistics"
    for battery in batteries:
        system = battery.hem_system_id
        expect(system, f"battery {battery.id} is part of no system")
        client.call(status, hem_system=system)
        today = battery.last_seen.date().isoformat()
        for interval, unit in [(today, "kW"), (today[:7], "kWh")]:
            told = client.call(statistics, hem_system=system, interval=interval)
            series = told.result.timeseries.generation
            where = f"{statistics} {interval}"
            expect(series.is_available and series.data, f"{where}: {series}")
            expect((series.unit, series.sampling.mode) == (unit, "bucketed"), f"{where}: {series}")
        for interval in ("1999-05", "2999-01-01", "yesterday"):
            client.refused(statistics, 400, hem_system=system, interval=interval)
    nothing = str(uuid.uuid4())
    client.refused(status, 404, hem_system=nothing)
    client.refused(statistics, 404, hem_system=nothing, interval="2026-03")


def check_schedules(client, user_id, by_kind, location):
    """Schedules of what can have one. What the client itself cannot parse, a program of the vendor, is
    left to others."""
    create, status = "schedules.create", "schedules.get_status"
    window = {"from_": "23:00", "to": "06:00"}
    for kind in ("vehicle", "charger"):
        for device in by_kind[kind]:
            wish = {
                "target_type": kind, "target_id": device.id, "location_id": location.id,
                "is_enabled": False, "default_should_charge": True,
                "rules": [{"hour_minute": window, "weekdays": [0, 6], "should_charge": False}],
            }
            made = client.call(create, user_id=user_id, schedule=models.ChargeSchedule(**wish))
            expect((made.target_id, made.is_enabled) == (device.id, False), f"{create}: {made}")
            expect(made.rules[0].hour_minute.from_ == "23:00", f"{create}: {made}")
            told = client.call(status, schedule_id=made.id)
            expect(told.state.value == "INACTIVE:DISABLED", f"{status}: {told}")
            expect(len(told.upcoming_transitions) == 2, f"{status}: {told}")
            # The client enables whatever it changes unless it is told not to.
            changed = client.call(
                "schedules.update", schedule_id=made.id,
                partial_schedule={"is_enabled": False, "default_should_charge": False},
            )
            expect(not changed.default_should_charge, f"schedules.update: {changed}")
            expect(not changed.is_enabled and len(changed.rules) == 1, f"{changed}")
            check_schedule(client, user_id, changed)
            wish["target_id"] = str(uuid.uuid4())
            wish = models.ChargeSchedule(**wish)
            client.refused(create, 400, user_id=user_id, schedule=wish)
    for device in by_kind["hvac"]:
        hold = {"hold_type": "PERMANENT", "mode": "HEAT", "heat_setpoint": 21.5}
        wish = {
            "target_type": "hvac", "target_id": device.id, "is_enabled": False,
            "default_target_state": hold, "rules": [],
        }
        made = client.call(create, user_id=user_id, schedule=models.TemperatureSchedule(**wish))
        expect(made.default_target_state.heat_setpoint == 21.5, f"{create}: {made}")
        check_schedule(client, user_id, made)
    nothing = str(uuid.uuid4())
    for method in ("schedules.get", "schedules.delete", status):
        client.refused(method, 404, schedule_id=nothing)


def check_schedule(client, user_id, schedule):
    """A schedule is found, listed and deleted."""
    found = client.call("schedules.get", schedule_id=schedule.id)
    expect(found == schedule, f"schedules.get: {found}")
    listed = check_list(client, "schedules.get_by_user", user_id=user_id)
    expect(listed[0].id == schedule.id, f"schedules.get_by_user: not newest first: {listed}")
    client.call("schedules.delete", schedule_id=schedule.id)
    client.refused("schedules.get", 404, schedule_id=schedule.id)


def check_expected(found, expected):
    """Compares the numbers of devices of the user with `vehicle=2,charger=1`, or with at least one
    of each kind."""
    if expected == "all":
        missing = [name for name, count in found.items() if count == 0]
        expect(not missing, f"the user has no {', no '.join(missing)}")
    elif expected:
        wanted = {name: int(count) for name, count in (e.split("=") for e in expected.split(","))}
        unknown = wanted.keys() - found.keys()
        expect(not unknown, f"--devices-expected: no such kind: {', '.join(unknown)}")
        wrong = {n: f"{found[n]} not {count}" for n, count in wanted.items() if found[n] != count}
        expect(not wrong, f"the user has other devices than expected: {wrong}")


def drive(options):
    security = models.Security(
        client_id=options.client_id,
        client_secret=options.client_secret,
        token_url=options.token_url,
    )
    sdk = Enode(security=security, server_url=options.api, timeout_ms=TIMEOUT_MS)
    client = Client(sdk)
    if options.only_costs:
        since, until = options.since, options.until
        check_costs(client, options.user_id, options.only_costs, since, until)
        return client.calls

    check_service(client)
    check_credentials(options)
    check_linking(client, options.throwaway_user_id)
    check_users(client, options.user_id)
    found, linked, by_kind = {}, [], {}
    for kind in KINDS:
        devices, of_user = check_kind(client, kind, options.user_id)
        print(f"{kind.name}: {len(devices)} in all, {len(of_user)} of the user", flush=True)
        found[kind.name] = len(of_user)
        linked += of_user
        if kind.name == "vehicle":
            check_statistics(client, options.user_id, of_user)
        if kind.name == "inverter":
            check_production(client, of_user)
        if kind.name == "battery":
            check_hem_systems(client, of_user)
        by_kind[kind.name] = of_user
    check_expected(found, options.devices_expected)
    check_relinking(client, linked)
    check_interventions(client, by_kind)
    check_actions(client, by_kind)
    check_smart_charging(client, by_kind["vehicle"])
    home = check_locations(client, options.user_id, by_kind)
    check_tariffs(client, home)
    check_schedules(client, options.user_id, by_kind, home)
    check_webhooks(client, options.webhook_url)
    check_endings(client, options.throwaway_user_id)
    return client.calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", required=True, metavar="URL")
    parser.add_argument("--token-url", required=True, metavar="URL")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", required=True)
    parser.add_argument("--user-id", required=True, help="a user with linked devices")
    parser.add_argument("--throwaway-user-id", required=True, help="a user that will be deleted")
    parser.add_argument(
        "--devices-expected", nargs="?", const="all", metavar="KIND=COUNT,…",
        help="devices of the user; without a value, at least one of each kind",
    )
    parser.add_argument("--webhook-url", metavar="URL", help="a receiver that answers 2xx")
    parser.add_argument(
        "--only-costs", metavar="KIND=KWH:COST",
        help="only read what the user's charging cost between --since and --until",
    )
    parser.add_argument("--since", metavar="TIME", type=datetime.fromisoformat)
    parser.add_argument("--until", metavar="TIME", type=datetime.fromisoformat)
    options = parser.parse_args()
    try:
        calls = drive(options)
    except Failure as failure:
        sys.exit(f"failed: {failure}")
    print("called: " + " ".join(sorted(calls)))
    print(f"ok: {len(calls)} operations of enode {version('enode')}, {sum(calls.values())} calls")


if __name__ == "__main__":
    main()
