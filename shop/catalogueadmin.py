"""The catalogue in the admin: categories, courses and their prices."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, pgettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from shop import clock
from shop.adminforms import EditedFields, RowFields
from shop.desk.history import LoggedChanges
from shop.models import Category, Course, PricePolicy
from shop.states import CourseType

if TYPE_CHECKING:
    CategoryAdminBase = admin.ModelAdmin[Category]
    CourseAdminBase = admin.ModelAdmin[Course]
    PolicyInlineBase = admin.TabularInline[PricePolicy, Course]
    PolicyFormSetBase = forms.BaseInlineFormSet[PricePolicy, Course, Any]
else:  # Django's classes take no parameters at run time
    CategoryAdminBase = CourseAdminBase = ModelAdmin
    PolicyInlineBase = TabularInline
    PolicyFormSetBase = forms.BaseInlineFormSet

# A later start date is a typo.
MAX_DAYS_TO_START = 730


@admin.register(Category)
class CategoryAdmin(LoggedChanges, CategoryAdminBase):
    list_display = ("name", "position", "brief")
    list_editable = ("position",)
    search_fields = ("name",)
    form = EditedFields

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_form(request, form=RowFields, **kwargs)


class CourseForm(EditedFields):
    """A course; checks the rules that involve several fields."""

    class Meta:
        widgets: ClassVar = {"syllabus": UnfoldAdminTextareaWidget(attrs={"rows": 16})}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        self._keep_members()
        starts_on = self.cleaned_data.get("starts_on")
        if starts_on is None:
            return cleaned
        if self.cleaned_data.get("course_type") != CourseType.DEGREE:
            self.add_error("starts_on", gettext("只有学位课程有开课日期。"))
        elif starts_on > clock.shanghai_date(clock.now()) + timedelta(days=MAX_DAYS_TO_START):
            self.add_error("starts_on", gettext("开课日期最多在两年以内。"))
        return cleaned

    def _keep_members(self) -> None:
        """A course that was sold can't become a membership or stop being one: its buyers would gain or lose
        it.
        """
        kinds = {self.initial.get("course_type"), self.cleaned_data.get("course_type")}
        if (
            self.instance.pk
            and len(kinds) > 1
            and CourseType.MEMBERSHIP in kinds
            and self.instance.enrolments.exists()
        ):
            self.add_error("course_type", gettext("已经售出，不能在VIP会员和其他类型之间更改。"))


class PolicyFormSet(PolicyFormSetBase):
    """The price policies of a course; a VIP-only course has none."""

    def clean(self) -> None:
        super().clean()
        kept = [form for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if kept and self.instance.course_type == CourseType.VIP_ONLY:
            raise forms.ValidationError(
                gettext("VIP专享课程向会员开放，不单独定价：请删除价格方案，并为VIP会员定价。")
            )


class PricePolicyInline(PolicyInlineBase):
    model = PricePolicy
    form = RowFields
    formset = PolicyFormSet
    extra = 0


@admin.register(Course)
class CourseAdmin(LoggedChanges, CourseAdminBase):
    list_display = ("name", "category", "course_type", "starts_on", "status", "position", "prices")
    list_editable = ("status", "position")
    list_filter = ("status", "course_type", "category")
    list_select_related = ("category",)
    search_fields = ("name",)
    autocomplete_fields = ("category",)
    inlines = (PricePolicyInline,)
    form = CourseForm
    list_fullwidth = True

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_form(request, form=RowFields, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return super().get_queryset(request).prefetch_related("price_policies")

    @admin.display(description=pgettext_lazy("one", "价格方案"))
    def prices(self, course: Course) -> str:
        if course.course_type == CourseType.VIP_ONLY:
            return gettext("随会员开放")
        return gettext("，").join(str(policy) for policy in course.price_policies.all()) or gettext("未定价")
