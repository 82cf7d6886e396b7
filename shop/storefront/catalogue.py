"""The catalogue and course pages, rendered on the server: search engines find them, they work without
scripts, and they appear at once on a slow connection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from shop import clock
from shop.domain import catalogue
from shop.errors import CourseNotFound
from shop.models import Category, Course
from shop.states import CourseType
from shop.storefront.views import show_page

_PAGE_SIZE = 24
# The course types offered as filters; the ordinary type needs none.
_KINDS = (CourseType.DEGREE, CourseType.VIP_ONLY, CourseType.MEMBERSHIP)


@require_safe
@cache_control(no_cache=True)
def courses(request: HttpRequest) -> HttpResponse:
    """All courses, filtered by `?search=` and `?type=`."""
    return _shelf(request, None)


@require_safe
@cache_control(no_cache=True)
def category(request: HttpRequest, category_id: int) -> HttpResponse:
    """The courses of one category."""
    return _shelf(request, catalogue.get_category(category_id=category_id))


def _shelf(request: HttpRequest, shown: Category | None) -> HttpResponse:
    search = request.GET.get("search", "").strip()[: catalogue.MAX_SEARCH_LENGTH]
    kind = _kind_in(request)
    found = catalogue.list_courses(search=search, category_id=shown.pk if shown else None, course_type=kind)
    page: Page[Course] = Paginator(found, _PAGE_SIZE).get_page(request.GET.get("page"))
    page.object_list = [_with_cheapest(course) for course in page]
    chosen = {"search": search, "type": "" if kind is None else str(kind.value)}
    return show_page(
        request,
        "courses",
        heading=shown.name if shown else gettext("在售课程") if kind is None else gettext(str(kind.label)),
        shelf=request.path,
        category=shown,
        categories=catalogue.list_categories(),
        kind=None if kind is None else kind.value,
        kinds=[(one.value, gettext(str(one.label))) for one in _KINDS],
        search=search,
        found=page,
        query="".join(f"{urlencode({name: value})}&" for name, value in chosen.items() if value),
    )


def _kind_in(request: HttpRequest) -> CourseType | None:
    wanted = request.GET.get("type", "")
    return next((kind for kind in CourseType if str(kind.value) == wanted), None)


def _with_cheapest(course: Course) -> Course:
    prices = [policy.price for policy in course.price_policies.all()] if course.is_sellable else []
    course.cheapest = min(prices, default=None)  # type: ignore[attr-defined] # for the template
    return course


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of a syllabus."""

    title: str
    lessons: list[str] = field(default_factory=list)


@require_safe
@cache_control(no_cache=True)
def course(request: HttpRequest, course_id: int) -> HttpResponse:
    """One course.

    The page of a course that isn't online is empty; its script fills it in for buyers of the course.
    """
    try:
        offer = catalogue.get_offer(course_id=course_id, now=clock.now())
    except CourseNotFound:
        if not catalogue.exists(course_id=course_id):
            raise Http404 from None
        return show_page(request, "course", subject=course_id)
    by_policy = {period.policy_id: period for period in offer.periods}
    return show_page(
        request,
        "course",
        subject=course_id,
        offer=offer,
        policies=[
            (policy, by_policy[policy.pk])
            for policy in offer.course.price_policies.all()
            if policy.pk in by_policy
        ],
        memberships=()
        if offer.course.is_sellable
        else catalogue.list_courses(course_type=CourseType.MEMBERSHIP),
        syllabus=list(_chapters(offer.course.syllabus)),
    )


def _chapters(syllabus: str) -> Iterator[Chapter]:
    chapter = Chapter("")
    for line in filter(None, map(str.strip, syllabus.splitlines())):
        if not line.startswith("#"):
            chapter.lessons.append(line)
            continue
        if _has_something(chapter):
            yield chapter
        chapter = Chapter(line.lstrip("# "))
    if _has_something(chapter):
        yield chapter


def _has_something(chapter: Chapter) -> bool:
    return bool(chapter.title or chapter.lessons)
