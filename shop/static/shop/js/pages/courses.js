import { get } from "../api.js";
import { content, cover, el, empty, link, pager, query, setQuery, start } from "../dom.js";
import { fenOf, shown } from "../money.js";
import "../site.js";

async function show(page) {
  const list = await get(`courses/?page=${page}`);
  setQuery({ page: page > 1 && page });
  if (!list.results.length) return content(empty("现在没有在售的课程，过些时候再来看看。"));
  content(el("ul", { class: "cards" }, list.results.map(card)), pager(list, (to) => start(() => show(to))));
}

function card(course) {
  const cheapest = course.price_policy_list.toSorted((one, other) => fenOf(one.price) - fenOf(other.price))[0];
  return el("li", { class: "card" },
    cover(course.course_img),
    el("div", { class: "inside" },
      el("h2", {}, link(`/courses/${course.id}/`, course.name, { class: "whole" })),
      el("p", { class: "muted" }, course.brief),
      cheapest ? el("p", { class: "price" }, shown(cheapest.price), el("small", {}, " 起")) : el("p", { class: "muted" }, "暂未定价")));
}

start(() => show(Number(query("page")) || 1));
