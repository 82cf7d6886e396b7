"""`enrolments/` and `balance/`: the buyer's courses and 贝里."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from shop import clock
from shop.api.authentication import account_of
from shop.domain import ledger
from shop.domain.enrolments import list_enrolments
from shop.models import Enrolment, LedgerTransfer
from shop.states import EnrolmentStatus


class EnrolmentOutput(serializers.ModelSerializer[Enrolment]):
    course_id = serializers.IntegerField()
    course_name = serializers.CharField(source="course.name")
    course_img = serializers.CharField(source="course.course_img")
    order_number = serializers.CharField(source="order_line.order.order_number")
    is_active = serializers.SerializerMethodField(help_text="现在是否可以学习")

    class Meta:
        model = Enrolment
        fields = [
            "id",
            "course_id",
            "course_name",
            "course_img",
            "order_number",
            "status",
            "valid_from",
            "valid_until",
            "is_active",
        ]

    def get_is_active(self, enrolment: Enrolment) -> bool:
        return (
            enrolment.status == EnrolmentStatus.ACTIVE
            and enrolment.valid_from <= clock.now() < enrolment.valid_until
        )


class TransferOutput(serializers.ModelSerializer[LedgerTransfer]):
    amount = serializers.IntegerField(help_text="贝里")
    order_number = serializers.CharField(source="order.order_number", allow_null=True, default=None)
    text = serializers.CharField(source="memo")

    class Meta:
        model = LedgerTransfer
        fields = ["id", "debit", "credit", "amount", "text", "order_number", "created_at"]


class EnrolmentListView(ListAPIView[Enrolment]):
    """The buyer's courses."""

    serializer_class = EnrolmentOutput

    def get_queryset(self) -> QuerySet[Enrolment]:
        return list_enrolments(account=account_of(self.request))


class BalanceView(ListAPIView[LedgerTransfer]):
    """The buyer's balance in 贝里, and its history."""

    serializer_class = TransferOutput

    def get_queryset(self) -> QuerySet[LedgerTransfer]:
        return ledger.list_beili_transfers(account=account_of(self.request))

    @extend_schema(responses=TransferOutput(many=True))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().get(request, *args, **kwargs)
        account = account_of(request)
        response.data = {"balance": account.balance, "held_balance": account.held_balance, **response.data}
        return response
