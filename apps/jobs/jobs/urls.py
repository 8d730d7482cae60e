"""Where what is found."""

from django.urls import include, path

from jobs import views

jobs = [
    path("", views.jobs, name="jobs"),
    path("<uuid:job_id>/", views.job, name="job"),
    path("<uuid:job_id>/stream/", views.stream, name="stream"),
    path("<uuid:job_id>/report", views.report, name="report"),
]

urlpatterns = [
    path("health", views.health),
    path("ready", views.ready),
    path("api/jobs/", include(jobs)),
    # The proxy takes /api off.
    path("jobs/", include(jobs)),
]
