"""`courses/`: what is on sale."""

from contextlib import suppress
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import digest_in
from shop.domain import catalogue
from shop.domain.login import find_caller
from shop.errors import NotAuthenticated
from shop.models import Course, PricePolicy


class PolicyOutput(serializers.ModelSerializer[PricePolicy]):
    id = serializers.IntegerField()
    period = serializers.CharField(source="get_valid_period_display", help_text="有效期，例如 1个月")
    valid_period = serializers.IntegerField(help_text="有效期（天）")

    class Meta:
        model = PricePolicy
        fields = ["id", "period", "valid_period", "price"]


class CourseOutput(serializers.ModelSerializer[Course]):
    id = serializers.IntegerField()
    type = serializers.CharField(source="get_course_type_display", help_text="课程类型")
    price_policy_list = PolicyOutput(source="price_policies", many=True)
    is_on_sale = serializers.BooleanField(source="is_sellable", help_text="下架后只有买过的人还能看到")

    class Meta:
        model = Course
        fields = ["id", "name", "course_img", "brief", "type", "price_policy_list", "is_on_sale"]


class CourseListView(ListAPIView[Course]):
    """Courses on sale."""

    authentication_classes = ()
    permission_classes = ()
    serializer_class = CourseOutput

    def get_queryset(self) -> QuerySet[Course]:
        return catalogue.list_courses()

    @extend_schema(auth=[])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CourseView(APIView):
    """One course."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses=CourseOutput, auth=[])
    def get(self, request: Request, course_id: int) -> Response:
        """A course on sale, for everybody; one that was taken off sale, for those who have bought it."""
        return Response(CourseOutput(catalogue.get_course(course_id=course_id, account_id=_caller(request))).data)


def _caller(request: Request) -> int | None:
    """Who asks, if they say so. A token that is over is no reason to refuse what everybody may see."""
    digest = digest_in(request._request)
    if digest is not None:
        with suppress(NotAuthenticated):
            return find_caller(digest, now=clock.now())
    return None
