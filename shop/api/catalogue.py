"""`courses/` and `categories/`: what the shop sells."""

from contextlib import suppress
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import digest_in
from shop.api.fields import IdField, LabelField, PageFilter, TextField, read_query, show
from shop.domain import catalogue
from shop.domain.callers import find_caller
from shop.errors import NotAuthenticated
from shop.models import Category, Course, PricePolicy
from shop.states import CourseType


class PolicyOutput(serializers.ModelSerializer[PricePolicy]):
    id = serializers.IntegerField()
    period = LabelField(PricePolicy.Period, source="valid_period", help_text="有效期，例如 1个月")
    valid_period = serializers.IntegerField(help_text="有效期（天）")

    class Meta:
        model = PricePolicy
        fields = ["id", "period", "valid_period", "price"]


class CategoryOutput(serializers.ModelSerializer[Category]):
    id = serializers.IntegerField()
    course_count = serializers.IntegerField(help_text="可以看到的课程数")

    class Meta:
        model = Category
        fields = ["id", "name", "brief", "course_count"]


class CourseCategoryOutput(serializers.ModelSerializer[Category]):
    id = serializers.IntegerField()

    class Meta:
        model = Category
        fields = ["id", "name"]


class CourseOutput(serializers.ModelSerializer[Course]):
    id = serializers.IntegerField()
    course_type = serializers.ChoiceField(
        choices=CourseType.choices, help_text="0 付费，1 VIP专享，2 学位课程，3 VIP会员"
    )
    type = LabelField(CourseType, source="course_type", help_text="课程类型")
    category = CourseCategoryOutput(allow_null=True)
    starts_on = serializers.DateField(allow_null=True, help_text="学位课程的开课日期")
    price_policy_list = PolicyOutput(source="price_policies", many=True)
    is_on_sale = serializers.BooleanField(
        source="is_sellable", help_text="VIP专享课程不单独出售；下架后只有买过的人还能看到"
    )

    class Meta:
        model = Course
        fields = [
            "id",
            "name",
            "course_img",
            "brief",
            "course_type",
            "type",
            "category",
            "starts_on",
            "price_policy_list",
            "is_on_sale",
        ]


class PeriodOutput(serializers.Serializer[Any]):
    """The period of access that a policy would grant if it were bought now."""

    policy_id = serializers.IntegerField()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField()


class StandingOutput(serializers.Serializer[Any]):
    """What a course's own page has beyond its entry in a list: more of the course, and for an authenticated
    caller their access to it.
    """

    syllabus = serializers.CharField(source="course.syllabus", help_text="课程大纲")
    period_list = PeriodOutput(
        source="periods", many=True, help_text="现在购买，有效期从何时到何时；已拥有时接在现有的有效期之后"
    )
    access_by = serializers.ChoiceField(
        choices=list(catalogue.AccessBy),
        allow_null=True,
        help_text="为什么可以学习：purchase 已购买，membership 是会员",
    )
    access_until = serializers.DateTimeField(allow_null=True)
    unpaid_order_number = serializers.CharField(
        allow_null=True, help_text="包含这门课程的待支付订单，没有则为 null"
    )


class OfferOutput(StandingOutput, CourseOutput):
    """One course, on its own page."""

    class Meta(CourseOutput.Meta):
        fields = [
            *CourseOutput.Meta.fields,
            "syllabus",
            "period_list",
            "access_by",
            "access_until",
            "unpaid_order_number",
        ]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {**show(CourseOutput, instance.course), **show(StandingOutput, instance)}


class CourseFilter(PageFilter):
    search = TextField(required=False, allow_blank=True, max_length=catalogue.MAX_SEARCH_LENGTH)
    category = IdField(required=False)
    type = serializers.ChoiceField(choices=[str(kind) for kind in CourseType.values], required=False)


@extend_schema(
    parameters=[
        OpenApiParameter(
            "search",
            {"type": "string", "maxLength": catalogue.MAX_SEARCH_LENGTH},
            description="名称、简介和大纲中都要出现的词，以空格隔开",
        ),
        OpenApiParameter("category", {"type": "integer", "minimum": 1}, description="分类编号"),
        OpenApiParameter(
            "type", OpenApiTypes.STR, enum=[str(kind) for kind in CourseType.values], description="课程类型"
        ),
    ]
)
class CourseListView(ListAPIView[Course]):
    """The courses that are visible to everybody."""

    authentication_classes = ()
    permission_classes = ()
    serializer_class = CourseOutput
    filter_class = CourseFilter

    def get_queryset(self) -> QuerySet[Course]:
        wanted = read_query(self.request, CourseFilter)
        kind = wanted.get("type")
        return catalogue.list_courses(
            search=wanted.get("search", ""),
            category_id=wanted.get("category"),
            course_type=None if kind is None else int(kind),
        )

    @extend_schema(auth=[])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CourseView(APIView):
    """One course."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses=OfferOutput, auth=[])
    def get(self, request: Request, course_id: int) -> Response:
        """A course that is online is visible to everybody; one taken off sale only to those who bought it."""
        return Response(
            show(
                OfferOutput,
                catalogue.get_offer(course_id=course_id, account_id=_caller(request), now=clock.now()),
            )
        )


class CategoryListView(ListAPIView[Category]):
    """The categories that have visible courses."""

    authentication_classes = ()
    permission_classes = ()
    serializer_class = CategoryOutput

    def get_queryset(self) -> QuerySet[Category]:
        return catalogue.list_categories()

    @extend_schema(auth=[])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


def _caller(request: Request) -> int | None:
    """The caller's account id, if they sent a valid token. An invalid one is ignored: the page is public."""
    digest = digest_in(request._request)
    if digest is not None:
        with suppress(NotAuthenticated):
            return find_caller(digest, now=clock.now())
    return None
