"""What went wrong, what the loop found and did about it, and what a person can do."""

from __future__ import annotations

from perdure.surface.console.incidents import deeds
from perdure.surface.console.incidents.listing import show_incidents
from perdure.surface.console.incidents.page import show_incident
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (
    Page("incidents", "/incidents", "incidents/listing.html", show_incidents, place="incidents"),
    Page("incident", "/incidents/{id}", "incidents/incident.html", show_incident, place="incidents"),
)
DEEDS: tuple[Deed, ...] = (
    Deed("incident-take", "/incidents/{id}/take", deeds.take, "note"),
    Deed("incident-snooze", "/incidents/{id}/snooze", deeds.snooze, "note"),
    Deed("incident-wake", "/incidents/{id}/wake", deeds.wake, "note"),
    Deed("incident-hand-off", "/incidents/{id}/hand-off", deeds.hand_off, "note"),
    Deed("job-cancel", "/jobs/{id}/cancel", deeds.cancel, "work"),
)
