"""`coupons/`: campaigns, claiming, the buyer's own."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import account_of
from shop.api.fields import PageFilter, read_query
from shop.domain.coupons import codes, coupons
from shop.models import Coupon, CouponRecord
from shop.states import CouponRecordStatus
from shop.texts import describe_coupon


class CampaignOutput(serializers.ModelSerializer[Coupon]):
    id = serializers.IntegerField()
    summary = serializers.SerializerMethodField(help_text="例如 满100减20")
    course_name = serializers.CharField(source="course.name", allow_null=True, default=None)
    remaining = serializers.SerializerMethodField(help_text="剩余张数")

    class Meta:
        model = Coupon
        fields = [
            "id", "name", "brief", "summary", "coupon_type", "money_equivalent_value", "off_percent",
            "minimum_consume", "scope", "course_id",
            "course_name", "quantity", "remaining", "open_date", "close_date", "valid_begin_date",
            "valid_end_date", "coupon_valid_days",
        ]  # fmt: skip

    def get_summary(self, coupon: Coupon) -> str:
        return describe_coupon(coupons.terms_of(coupon))

    def get_remaining(self, coupon: Coupon) -> int:
        return coupon.quantity - coupon.claimed_count


class RecordOutput(serializers.ModelSerializer[CouponRecord]):
    id = serializers.IntegerField()
    coupon = CampaignOutput()
    order_number = serializers.CharField(source="order.order_number", allow_null=True, default=None)

    class Meta:
        model = CouponRecord
        fields = [
            "id",
            "number",
            "status",
            "claimed_at",
            "valid_from_date",
            "valid_until_date",
            "used_at",
            "order_number",
            "coupon",
        ]


class RecordFilter(PageFilter):
    status = serializers.ChoiceField(choices=CouponRecordStatus.choices, required=False)


class CampaignListView(ListAPIView[Coupon]):
    """Campaigns that can be claimed from today."""

    serializer_class = CampaignOutput

    def get_queryset(self) -> QuerySet[Coupon]:
        return coupons.list_open_campaigns(now=clock.now())


class ClaimView(APIView):
    """Claims one coupon of a campaign."""

    @extend_schema(request=None, responses={201: RecordOutput})
    def post(self, request: Request, coupon_id: int) -> Response:
        record = coupons.claim_coupon(account=account_of(request), coupon_id=coupon_id, now=clock.now())
        return Response(RecordOutput(record).data, status=status.HTTP_201_CREATED)


class RedeemInput(serializers.Serializer[Any]):
    code = serializers.CharField(min_length=1, max_length=40, help_text="兑换码；大小写、空格和连字符均可")


class RedeemView(APIView):
    """Exchanges a code for a coupon of its campaign, once."""

    @extend_schema(request=RedeemInput, responses={201: RecordOutput})
    def post(self, request: Request) -> Response:
        body = RedeemInput(data=request.data)
        body.is_valid(raise_exception=True)
        record = codes.redeem_code(
            account=account_of(request), code=body.validated_data["code"], now=clock.now()
        )
        return Response(RecordOutput(record).data, status=status.HTTP_201_CREATED)


@extend_schema(parameters=[OpenApiParameter("status", OpenApiTypes.STR, enum=CouponRecordStatus.values)])
class MyCouponListView(ListAPIView[CouponRecord]):
    """The buyer's coupons."""

    serializer_class = RecordOutput
    filter_class = RecordFilter

    def get_queryset(self) -> QuerySet[CouponRecord]:
        wanted = read_query(self.request, RecordFilter)
        return coupons.list_records(account=account_of(self.request), status=wanted.get("status"))

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
