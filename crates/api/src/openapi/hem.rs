//! The schemas of HEM systems and of what flowed there.

use livewatt_domain::hem::{Series, VENDORS};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};

use super::{
    Schemas,
    freshness::{maybe_number, maybe_text, of, text},
    list_of, page_of, sent, text_enum,
};

pub(super) fn add(schemas: Schemas) -> Schemas {
    let always = |value: bool| {
        let flag = ObjectBuilder::new().schema_type(Type::Boolean);
        flag.enum_values(Some([value]))
    };
    schemas
        .with("PaginatedHEMSystemList", page_of("HEMSystem"))
        .with("HEMSystem", system())
        .with("HEMSystemInformation", information())
        .with("HEMSystemStatus", status())
        .with(
            "HEMSystemEnergy",
            sent(vec![("today", of("HEMSystemToday"))]),
        )
        .with("HEMSystemToday", today())
        .with(
            "HEMSystemStatistics",
            sent(vec![("timeseries", of("HEMSystemAllTimeseries"))]),
        )
        .with("HEMSystemAllTimeseries", {
            let series = Series::ALL.map(|series| (series.name(), of("HEMSystemTimeseries")));
            sent(series.to_vec())
        })
        .with(
            "HEMSystemTimeseries",
            OneOfBuilder::new()
                .item(of("HEMSystemTimeseriesAvailable"))
                .item(of("HEMSystemTimeseriesUnavailable")),
        )
        .with(
            "HEMSystemTimeseriesAvailable",
            sent(vec![
                ("isAvailable", always(true).into()),
                ("unit", text_enum("Unit of the values", &["kW", "kWh", "%"])),
                (
                    "unitType",
                    text_enum("What the values are", &["Energy", "Power", "SoC"]),
                ),
                ("sampling", of("HEMSystemSampling")),
                ("timezone", text("IANA zone by whose calendar days begin")),
                ("data", list_of("HEMSystemPoint").into()),
            ]),
        )
        .with(
            "HEMSystemTimeseriesUnavailable",
            sent(vec![
                ("isAvailable", always(false).into()),
                ("reason", text("Why there is none")),
            ]),
        )
        .with(
            "HEMSystemSampling",
            sent(vec![
                ("mode", text_enum("Always by buckets", &["bucketed"])),
                (
                    "resolution",
                    text_enum("How long a bucket is", &["PT15M", "P1D"]),
                ),
            ]),
        )
        .with(
            "HEMSystemPoint",
            sent(vec![
                (
                    "t",
                    text("When the bucket begins, with the offset of the place"),
                ),
                ("v", maybe_number("Its value; null if not known")),
            ]),
        )
}

fn system() -> ObjectBuilder {
    sent(vec![
        ("id", text("Identifier; survives relinking")),
        ("userId", text("Owner")),
        ("locationId", maybe_text("The location it stands at")),
        ("information", of("HEMSystemInformation")),
        ("status", of("HEMSystemStatus")),
    ])
}

fn information() -> ObjectBuilder {
    sent(vec![
        ("vendor", text_enum("Vendor", &VENDORS)),
        ("name", text("Name of the site")),
        (
            "installationDate",
            text("When it was installed; the linking time if the vendor does not tell"),
        ),
        ("latitude", maybe_number("Degrees north")),
        ("longitude", maybe_number("Degrees east")),
        ("address", maybe_text("Where it is, in words")),
        ("timezone", maybe_text("IANA zone of the site")),
        ("lastUpdated", maybe_text("When any of this last changed")),
    ])
}

fn status() -> ObjectBuilder {
    sent(vec![
        (
            "lastSeen",
            maybe_text("Last contact with any of its devices"),
        ),
        ("energy", of("HEMSystemEnergy")),
    ])
}

fn today() -> ObjectBuilder {
    sent(vec![
        (
            "generation",
            maybe_number("From the sun, kWh; null if not known"),
        ),
        ("consumption", maybe_number("Used, kWh; null if not known")),
        (
            "charge",
            maybe_number("Into batteries, kWh; null if not known"),
        ),
        (
            "discharge",
            maybe_number("Out of batteries, kWh; null if not known"),
        ),
        (
            "import",
            maybe_number("From the grid, kWh; null if not known"),
        ),
        (
            "export",
            maybe_number("To the grid, kWh; null if not known"),
        ),
        ("unit", text_enum("Unit of the amounts", &["kWh"])),
        ("lastUpdated", maybe_text("Until when they are counted")),
    ])
}
