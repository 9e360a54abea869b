"""The pages of a server: texts to paste, and what can be asked. Each is one file that loads nothing from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pet.learners.students.base import ClassifierForm
from pet.reports.html.page import TEMPLATES, inline

_OWN = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """A page, and the policy (Content-Security-Policy) that lets nothing else into it."""

    text: str
    policy: str

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with it."""
        return {
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }


def main_page(name: str, form: ClassifierForm, why_not: str) -> Page:
    """Return the page at `/`; `why_not` says why no labeled rows can be shown ("": they can)."""
    about = {"fields": list(form.columns), "labels": len(form.labels), "whyNot": why_not}
    return _drawn("page", name=name, form=form, about=about, why_not=why_not)


def docs_page(name: str, openapi: Mapping[str, Any]) -> Page:
    """Return the page at `/docs`, from the description of all endpoints in the form of OpenAPI."""
    endpoints = [
        {"path": path, "method": method.upper(), "about": one.get("description", ""), "body": _body(one)}
        for path, methods in openapi["paths"].items()
        for method, one in methods.items()
    ]
    return _drawn("docs", name=name, endpoints=endpoints)


def _body(endpoint: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of the body of an endpoint, and what they are."""
    content = endpoint.get("requestBody", {}).get("content", {}).get("application/json", {})
    found = content.get("schema", {}).get("properties", {})
    return [(name, str(about.get("description", ""))) for name, about in found.items()]


def _drawn(kind: str, **content: Any) -> Page:
    styles = [inline(TEMPLATES / "page.css"), inline(_OWN / "serving.css")]
    scripts = [inline(path) for path in (_OWN / f"{kind}.js",) if path.is_file()]
    policy = [
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'",
        f"style-src {' '.join(one.digest for one in styles)}",
        "script-src " + (" ".join(one.digest for one in scripts) or "'none'"),
    ]
    template = _environment().get_template(f"{kind}.html")
    return Page(template.render(styles=styles, scripts=scripts, **content), "; ".join(policy))


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_OWN), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return found
