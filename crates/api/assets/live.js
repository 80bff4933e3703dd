"use strict";
(() => {
  const base = document.currentScript.dataset.base;
  const titles = { vehicle: "Vehicles", charger: "Chargers", hvac: "Heating and cooling", inverter: "Solar inverters", battery: "Batteries", meter: "Meters" };
  const known = new Map();
  let clock = null;

  const at = (object, path) => path.split(".").reduce((value, key) => (value == null ? value : value[key]), object);
  const number = (value, digits = 1) => (value == null ? "–" : Number(value).toFixed(digits));
  const unit = (value, digits, name) => (value == null ? "–" : `${number(value, digits)} ${name}`);
  const yes = (value) => (value == null ? "–" : value ? "yes" : "no");
  const words = (value) => (value == null ? "–" : String(value).replace("PLUGGED_IN:", "").replaceAll("_", " ").toLowerCase());

  // What a card shows of each kind: the large number, a bar from 0 to 100, a line, and rows.
  const looks = {
    vehicle: (d) => ({
      name: at(d, "information.displayName") || [at(d, "information.brand"), at(d, "information.model")].filter(Boolean).join(" ") || d.vendor,
      main: [number(at(d, "chargeState.batteryLevel"), 0), "%"], bar: at(d, "chargeState.batteryLevel"), power: at(d, "chargeState.chargeRate") ?? 0,
      rows: [["Charging", words(at(d, "chargeState.powerDeliveryState"))], ["Power", unit(at(d, "chargeState.chargeRate"), 1, "kW")], ["Range", unit(at(d, "chargeState.range"), 0, "km")], ["Odometer", unit(at(d, "odometer.distance"), 0, "km")]],
    }),
    charger: (d) => ({
      name: [at(d, "information.brand"), at(d, "information.model")].filter(Boolean).join(" ") || d.vendor,
      main: [number(at(d, "chargeState.chargeRate") ?? 0), "kW"], power: at(d, "chargeState.chargeRate") ?? 0,
      rows: [["State", words(at(d, "chargeState.powerDeliveryState"))], ["Plugged in", yes(at(d, "chargeState.isPluggedIn"))], ["Maximum", unit(at(d, "chargeState.maxCurrent"), 0, "A")]],
    }),
    hvac: (d) => ({
      name: at(d, "information.displayName") || d.vendor,
      main: [number(at(d, "temperatureState.currentTemperature")), "°C"], power: at(d, "temperatureState.currentTemperature"),
      rows: [["Mode", words(at(d, "thermostatState.mode"))], ["Heat to", unit(at(d, "thermostatState.heatSetpoint"), 1, "°C")], ["Running", yes(at(d, "temperatureState.isActive"))], ["Uses", unit(d.consumptionRate, 1, "kW")]],
    }),
    inverter: (d) => ({
      name: at(d, "information.siteName") || at(d, "information.model") || d.vendor,
      main: [number(at(d, "productionState.productionRate"), 2), "kW"], power: at(d, "productionState.productionRate"),
      rows: [["Producing", yes(at(d, "productionState.isProducing"))], ["So far", unit(at(d, "productionState.totalLifetimeProduction"), 0, "kWh")]],
    }),
    battery: (d) => ({
      name: at(d, "information.siteName") || at(d, "information.model") || d.vendor,
      main: [number(at(d, "chargeState.batteryLevel"), 0), "%"], bar: at(d, "chargeState.batteryLevel"), power: at(d, "chargeState.chargeRate"),
      rows: [["State", words(at(d, "chargeState.status"))], ["Power", unit(at(d, "chargeState.chargeRate"), 2, "kW")], ["Aim", words(at(d, "config.operationMode"))]],
    }),
    meter: (d) => ({
      name: at(d, "information.siteName") || at(d, "information.model") || d.vendor,
      main: [number(at(d, "energyState.power"), 2), "kW"], power: at(d, "energyState.power"),
      rows: [["Direction", at(d, "energyState.power") == null ? "–" : at(d, "energyState.power") < 0 ? "to the grid" : "from the grid"]],
    }),
  };

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text != null) element.textContent = text;
    return element;
  };
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // The server's clock can run faster than ours in a demo; its speed is measured.
  const tell = (now) => {
    const server = Date.parse(now), here = performance.now();
    let speed = 1;
    if (clock && here - clock.here > 500) {
      speed = Math.max(0, (server - clock.server) / (here - clock.here));
      if (Math.abs(speed - 1) < 0.2) speed = 1;
    }
    clock = { server, here, speed };
  };
  const serverNow = () => clock.server + (performance.now() - clock.here) * clock.speed;

  const ageText = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + String(s % 60).padStart(2, "0") + " s";
    if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
    return Math.floor(s / 86400) + " days";
  };

  const build = (kind) => {
    const card = make("article", "card");
    const parts = { card, kind, dot: make("span", "dot"), name: make("h3"), sub: make("p", "sub"), value: make("span"), unit: make("small"), history: [] };
    const main = make("div", "main");
    main.append(parts.value, parts.unit);
    parts.bar = make("div", "bar");
    parts.fill = make("i");
    parts.bar.append(parts.fill);
    parts.spark = svg("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" });
    parts.line = svg("path", { d: "" });
    parts.spark.append(parts.line);
    parts.rows = make("dl", "values");
    parts.age = make("div", "age");
    parts.ageText = make("b");
    parts.why = make("span");
    parts.age.append(parts.ageText, parts.why);
    card.append(parts.dot, parts.name, parts.sub, main, parts.bar, parts.spark, parts.rows, parts.age);
    return parts;
  };

  const draw = (parts, { device, freshness }) => {
    const look = looks[parts.kind](device);
    parts.name.textContent = look.name;
    parts.sub.textContent = `${device.vendor} · ${device.userId}`;
    parts.dot.className = "dot" + (device.isReachable == null ? " unknown" : device.isReachable ? "" : " unreachable");
    parts.dot.title = device.isReachable == null ? "not known" : device.isReachable ? "reachable" : "not reachable";
    parts.value.textContent = look.main[0];
    parts.unit.textContent = look.main[1];
    parts.bar.hidden = look.bar == null;
    parts.fill.style.width = `${look.bar ?? 0}%`;
    parts.rows.replaceChildren(...look.rows.flatMap(([label, value]) => [make("dt", "", label), make("dd", "", value)]));
    parts.power = Number(look.power ?? 0);
    parts.history.push(parts.power);
    if (parts.history.length > 120) parts.history.shift();
    const low = Math.min(0, ...parts.history), high = Math.max(...parts.history, low + 0.1);
    const step = 100 / Math.max(1, parts.history.length - 1);
    parts.line.setAttribute("d", parts.history.map((p, i) => `${i ? "L" : "M"}${(i * step).toFixed(2)} ${(26 - (24 * (p - low)) / (high - low)).toFixed(2)}`).join(""));
    const text = JSON.stringify([look.main, look.rows, device.isReachable]);
    if (parts.text && parts.text !== text) {
      parts.card.classList.add("changed");
      setTimeout(() => parts.card.classList.remove("changed"), 80);
    }
    parts.text = text;
    const confirmed = (freshness?.blocks ?? []).map((block) => block.confirmedAt).filter(Boolean).map((time) => Date.parse(time));
    parts.confirmedAt = confirmed.length ? Math.max(...confirmed) : Date.parse(device.lastSeen);
    parts.target = freshness?.blocks?.[0]?.targetSeconds ?? 420;
    parts.why.textContent = freshness ? (freshness.holdup ?? freshness.reason).replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase()) : "";
    parts.why.title = freshness?.intervalSeconds ? `every ${Math.round(freshness.intervalSeconds)} s` : "";
  };

  const tick = () => {
    if (!clock) return;
    for (const parts of known.values()) {
      const age = (serverNow() - parts.confirmedAt) / 1000;
      parts.ageText.textContent = ageText(age) + " old";
      parts.age.className = "age" + (age > parts.target * 3 ? " very-late" : age > parts.target * 1.25 ? " late" : "");
    }
  };

  const total = (kind) => [...known.values()].filter((parts) => parts.kind === kind).reduce((sum, parts) => sum + parts.power, 0);
  const drawTotals = () => {
    const rows = [["Devices", String(known.size)]];
    if (document.querySelector("[data-kind=inverter]:not([hidden])")) rows.push(["Solar", number(total("inverter")) + " kW"]);
    if (document.querySelector("[data-kind=meter]:not([hidden])")) rows.push(["Grid", number(total("meter")) + " kW"]);
    if (document.querySelector("[data-kind=vehicle]:not([hidden])")) rows.push(["Vehicles charging", number(total("vehicle")) + " kW"]);
    document.getElementById("totals").replaceChildren(...rows.map(([label, value]) => {
      const row = make("div");
      row.append(make("dt", "", label), make("dd", "", value));
      return row;
    }));
  };

  const refresh = async () => {
    const answer = await fetch(`${base}/live/devices.json`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const picture = await answer.json();
    tell(picture.now);
    const seen = new Set();
    for (const row of picture.devices) {
      seen.add(row.device.id);
      let parts = known.get(row.device.id);
      if (!parts) {
        parts = build(row.kind);
        known.set(row.device.id, parts);
        document.querySelector(`[data-kind=${row.kind}] .cards`).append(parts.card);
      }
      draw(parts, row);
    }
    for (const [id, parts] of known) {
      if (!seen.has(id)) {
        parts.card.remove();
        known.delete(id);
      }
    }
    for (const section of document.querySelectorAll("[data-kind]")) {
      const count = section.querySelectorAll(".card").length;
      section.hidden = count === 0;
      section.querySelector(".title").textContent = titles[section.dataset.kind];
      section.querySelector(".count").textContent = String(count);
    }
    document.getElementById("empty").hidden = known.size > 0;
    drawTotals();
    tick();
  };

  const loop = async () => {
    let wait = 3000;
    try {
      await refresh();
    } catch {
      wait = 6000;
    }
    setTimeout(loop, wait);
  };

  const list = document.getElementById("events");
  const times = [];
  const note = (message) => {
    const event = JSON.parse(message.data);
    const item = make("li");
    const time = make("time", "", event.createdAt.slice(11, 19));
    time.dateTime = event.createdAt;
    item.append(time, make("strong", "", event.event.replace("user:", "")));
    const device = Object.values(event).find((value) => value && typeof value === "object" && value.vendor);
    const about = [device?.vendor ?? event.vendor, event.user?.id, (event.updatedFields ?? []).join(", ")];
    item.append(make("span", "", about.filter(Boolean).join(" · ")));
    list.prepend(item);
    while (list.children.length > 60) list.lastElementChild.remove();
    times.push(performance.now());
    while (times.length && times[0] < performance.now() - 60000) times.shift();
    document.getElementById("rate").textContent = times.length + " in the last minute";
  };

  const follow = () => {
    const connection = document.getElementById("connection");
    const source = new EventSource(`${base}/live/stream`);
    const names = ["user:credentials:invalidated"];
    for (const kind of Object.keys(titles)) names.push(...["discovered", "updated", "deleted"].map((what) => `user:${kind}:${what}`));
    for (const name of names) source.addEventListener(name, note);
    source.onopen = () => { connection.className = "on"; connection.textContent = "live"; };
    source.onerror = () => { connection.className = "off"; connection.textContent = "reconnecting…"; };
  };

  loop();
  follow();
  setInterval(tick, 1000);
})();
