"""Orders in the admin: the list, one page with everything about an order, and the deeds on it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from payments.desk.forms import OptionalWhyForm, courses_field, offer_lines, with_why
from payments.desk.orderpage import read_order_page
from payments.domain.refunds import requesting
from payments.domain.trades import polling
from payments.tasks import close_orders, query_payments
from shop.desk.columns import BuyerColumn
from shop.desk.deeds import Act, Deed, DeedForm, DeedsAdmin, WhyForm, why_field
from shop.desk.display import beili, moment, yuan
from shop.desk.filters import DEAD, SinceFilter
from shop.desk.readonly import MAX_FOUND
from shop.domain.orders import closing, repair
from shop.models import Course, Order, OrderLine
from shop.states import OrderStatus


class CoursesForm(DeedForm):
    """Which courses of the order."""

    courses = courses_field()
    why = why_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.rows) == 1:
            offer_lines(
                self.fields["courses"], list(OrderLine.objects.filter(order=self.rows[0]).order_by("id"))
            )


class DeadlineForm(DeedForm):
    minutes = forms.IntegerField(
        label=_("从现在起多少分钟后截止"),
        min_value=1,
        max_value=int(repair.LONGEST_DEADLINE.total_seconds()) // 60,
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    why = why_field()


class CourseFilter(admin.SimpleListFilter):
    """The newest orders of a course."""

    title, parameter_name = pgettext_lazy("one", "课程"), "course"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(Course.objects.order_by("position", "id").values_list("pk", "name")[:200])

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        chosen = self.value() or ""
        if not chosen.isdecimal():
            return queryset
        lines = OrderLine.objects.filter(course=int(chosen[:18])).order_by("-id")
        return queryset.filter(pk__in=list(lines.values_list("order_id", flat=True)[:MAX_FOUND]))


def _facts(order: Order) -> Sequence[tuple[str, Any]]:
    return [
        (gettext("状态"), order.get_status_display()),
        (gettext("应付"), yuan(order.cash_due)),
        (gettext("使用贝里"), beili(order.beili)),
        (gettext("已退"), yuan(order.refunded_amount)),
        (gettext("已退贝里"), beili(order.refunded_beili)),
        (gettext("支付截止"), moment(order.expires_at)),
    ]


def _is_unpaid(order: Order) -> bool:
    return order.status == OrderStatus.AWAITING_PAYMENT and order.cancel_requested_at is None


def _cancel(order: Order, act: Act) -> object:
    return closing.request_cancel(
        account_id=order.account_id,
        order_number=order.order_number,
        now=act.now,
        cause=act.cause,
        staff=act.staff,
        why=act.why,
    )


def _ask(order: Order, act: Act) -> object:
    return polling.ask_about_order(order.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


def _refund(order: Order, act: Act) -> object:
    return requesting.request_refund(
        account_id=order.account_id,
        order_number=order.order_number,
        course_ids={int(number) for number in act.data["courses"]},
        reason=act.why,
        now=act.now,
        cause=act.cause,
        staff=act.staff,
    )


def _move_deadline(order: Order, act: Act) -> object:
    expires_at = act.now + timedelta(minutes=act.data["minutes"])
    return repair.move_deadline(
        order.pk, expires_at=expires_at, staff=act.staff, why=act.why, now=act.now, cause=act.cause
    )


def _pick_up(order: Order, act: Act) -> object:
    return repair.pick_up_order(order.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


ORDER_DEEDS = (
    Deed(
        "ask_gateway",
        _("立即向支付渠道查询"),
        "payments.ask_gateway",
        _ask,
        OptionalWhyForm,
        log_text=with_why("查询支付渠道"),
        applies=lambda order: bool(order.cash_due),
        facts=_facts,
        hint=_("查询这个订单的每一笔支付和处理中的退款。结果由后台任务处理，几秒后刷新即可看到。"),
        wakes=query_payments,
    ),
    Deed(
        "refund",
        _("申请退款"),
        "payments.add_refund",
        _refund,
        CoursesForm,
        log_text=lambda data: f"申请退款（课程 {'、'.join(data['courses'])}）：{data['why']}",
        applies=lambda order: order.status == OrderStatus.PAID,
        facts=_facts,
        hint=_("代买家申请：需要有批准权限的人批准后才会退款。"),
        is_listed=False,
    ),
    Deed(
        "cancel",
        _("取消订单"),
        "shop.cancel_order",
        _cancel,
        WhyForm,
        log_text=with_why("取消订单"),
        applies=_is_unpaid,
        facts=_facts,
        hint=_("先在支付宝关闭交易，再退回优惠券和贝里；如果买家已经付款，订单会按已支付处理。"),
        is_destructive=True,
        wakes=close_orders,
    ),
    Deed(
        "move_deadline",
        _("调整支付期限"),
        "shop.move_deadline",
        _move_deadline,
        DeadlineForm,
        log_text=lambda data: f"支付期限改为 {data['minutes']} 分钟后：{data['why']}",
        applies=_is_unpaid,
        facts=_facts,
        hint=_("已经打开的支付页面仍按原期限；买家再次点击付款时使用新期限。"),
        is_listed=False,
    ),
    Deed(
        "pick_up",
        _("重新处理"),
        "shop.pick_up_work",
        _pick_up,
        WhyForm,
        log_text=with_why("重新处理"),
        applies=lambda order: order.dead_at is not None,
        facts=_facts,
        hint=_("关闭这个订单的尝试已被放弃。重新处理会立即再试。"),
        wakes=close_orders,
    ),
)


@admin.register(Order)
class OrderAdmin(BuyerColumn, DeedsAdmin):
    list_display = (
        "shown_cash",
        "shown_status",
        "order_number",
        "buyer",
        "courses",
        "beili",
        "shown_refunded",
        "payment_type",
        "created_at",
    )
    list_display_links = ("order_number",)
    list_filter = ("status", DEAD, ("created_at", SinceFilter), CourseFilter, "payment_type")
    list_select_related = ("account",)
    search_fields = ("=order_number", "=account__username")
    deeds = ORDER_DEEDS
    counted = _("个订单")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("lines")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything about one order."""
        if request.method == "POST":
            raise PermissionDenied
        order = (
            Order.objects.select_related("account", "request").filter(pk=object_id).first()
            if object_id.isdecimal()
            else None
        )
        if order is None:
            raise Http404
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        page = read_order_page(order, self._offers(request))
        offered = self.offered_deeds(request, order)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("订单 %(order_number)s") % {"order_number": order.order_number},
            "opts": self.opts,
            "page": page,
        }
        return TemplateResponse(
            request, "desk/order.html", context | {"offered_deeds": offered, "order": order}
        )

    def _offers(self, request: HttpRequest) -> Any:
        """Returns a function for the deeds that apply to another table's row, each with a URL that returns to
        this page.
        """

        def offers(row: Any) -> list[tuple[Deed, str]]:
            other: Any = self.admin_site._registry[type(row)]
            return [(deed, f"{url}?next={request.path}") for deed, url in other.offered_deeds(request, row)]

        return offers

    @display(description=_("应付"), ordering="cash_due")
    def shown_cash(self, order: Order) -> str:
        return yuan(order.cash_due)

    @display(
        description=_("状态"),
        ordering="status",
        label={
            OrderStatus.AWAITING_PAYMENT: "info",
            OrderStatus.PAID: "success",
            OrderStatus.REFUNDED: "warning",
            "dead": "danger",
        },
    )
    def shown_status(self, order: Order) -> tuple[str, str]:
        return (
            ("dead", gettext("已放弃处理")) if order.dead_at else (order.status, order.get_status_display())
        )

    @display(description=_("已退"), ordering="refunded_amount")
    def shown_refunded(self, order: Order) -> str:
        return yuan(order.refunded_amount) if order.refunded_amount else "–"

    @display(description=pgettext_lazy("one", "课程"))
    def courses(self, order: Order) -> str:
        return gettext("、").join(line.course_name for line in order.lines.all())
