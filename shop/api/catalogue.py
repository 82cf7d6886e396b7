"""`courses/`: what is on sale."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop.domain import catalogue
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

    class Meta:
        model = Course
        fields = ["id", "name", "course_img", "brief", "type", "price_policy_list"]


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
    """One course on sale."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses=CourseOutput, auth=[])
    def get(self, request: Request, course_id: int) -> Response:
        return Response(CourseOutput(catalogue.get_course(course_id=course_id)).data)
