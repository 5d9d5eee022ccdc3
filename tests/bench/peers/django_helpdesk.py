"""django-helpdesk's own mail-to-ticket function over a folder of mails; runs in an environment of its own.

    python django_helpdesk.py FOLDER    prints "FIGURES {…}": mails a second and the names of those that it rejected

SQLite as Django's users tune it (write-ahead log, synchronous=NORMAL), which is faster than its default.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import django
from django.conf import settings


def configure(folder: str) -> None:
    options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", "transaction_mode": "IMMEDIATE"}
    settings.configure(
        SECRET_KEY="x",
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3", "OPTIONS": options}
        },
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.sites",
            "django.contrib.messages", "django.contrib.humanize", "django.contrib.admin", "rest_framework", "helpdesk",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        MEDIA_ROOT=f"{folder}/media",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        ROOT_URLCONF=__name__,
        SITE_ID=1,
        USE_TZ=True,
        LOGGING_CONFIG=None,
        HELPDESK_TEAMS_MODE_ENABLED=False,
        HELPDESK_TEAMS_MODEL="auth.User",
        HELPDESK_TEAMS_MIGRATION_DEPENDENCIES=[],
        HELPDESK_KBITEM_TEAM_GETTER=lambda _: None,
    )  # fmt: skip


def main(mails: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        configure(folder)
        django.setup()
        from django.core.management import call_command
        from django.urls import include, path

        global urlpatterns
        urlpatterns = [path("helpdesk/", include("helpdesk.urls", namespace="helpdesk"))]
        call_command("migrate", verbosity=0)
        from helpdesk.email import extract_email_metadata
        from helpdesk.models import Queue

        logging.disable(logging.CRITICAL)
        queue = Queue.objects.create(title="Q", slug="q", email_address="help@shop.example")
        call_command("loaddata", "emailtemplate.json", verbosity=0)
        logger = logging.getLogger("peer")
        raws = [(path_.name, path_.read_bytes()) for path_ in sorted(mails.iterdir())]
        extract_email_metadata(raws[0][1].decode("utf-8", "replace"), queue, logger)  # what is loaded once
        rejected = []
        spent = 0.0
        for name, raw in raws:
            begun = time.perf_counter()
            try:
                made = extract_email_metadata(raw.decode("utf-8", "replace"), queue, logger)
            except Exception:
                made = None
            if made is None:
                rejected.append(name)
            else:
                spent += time.perf_counter() - begun
        done = len(raws) - len(rejected)
        print("FIGURES " + json.dumps({"per_s": done / spent, "done": done, "rejected": rejected}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
