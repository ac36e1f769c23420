"""Names of amounts, ages, scores and counts, and of identifiers and codes, with such values.

The rule was chosen on other names.
"""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.data.column_kinds import kinds_of
from bayesmix.data.column_names import hint_of
from bayesmix.data.table_columns import coded

N = 300


def words(text):
    return text.split()


AMOUNTS = words(
    """
    annual_salary customer_account_credit patient_deposit employee_wage member_dues_total
    household_savings personIncome order_discount_cents invoice_balance_due case_cost_total
    record_high_price user_spend_30d student_tuition client_assets store_revenue hospital_expenses
    school_fees_paid city_budget county_revenue state_population district_enrollment_total
    country_exports region_rainfall_mm department_payroll ward_expenditure class_budget
    group_assets type_a_sales batch_cost zip_level_income postal_charges phone_expenses
    code_bounty_paid serial_production_volume key_deposit_cents index_fund_value row_crop_yield
    item_revenue_usd sample_volume_ul ticket_revenue account_value_at_close balance_to_date
    sales_since_date year_end_balance yearly_income monthly_spend home_value house_price_thousands
    car_mileage distance_to_school loan_amnt total_paid_by_customer amount_per_invoice
    cost_of_order GrossPay EstimatedSalary CreditLimit Balance.Owed turnover_2019 sum_insured
    id_theft_losses no_claims_discount_value number_plate_fees
    """
)
AGES = words(
    """
    customerAge age_of_patient age_at_death_record mother_age ageOfRespondent subject_age
    user_age_years student_age age employee_seniority_months
    """
)
SCORES = words(
    """
    patient_pain_score subject_rating participant_iq customer_nps student_gpa_x10
    employee_performance member_satisfaction order_rating case_complexity_score
    record_completeness code_smell_score key_stage_result state_anger class_participation_score
    school_rating hospital_quality_index group_identity_score household_wealth_index
    index_of_deprivation respondent_attitude user_trust phone_addiction_score number_sense_score
    item_difficulty site_quality test_result_no_penalty
    """
)
COUNTS = words(
    """
    patient_falls customer_purchases numVisits n_claims number_of_calls user_clicks order_items
    household_members_total student_detentions employee_absences cases deaths_per_ward
    hospital_stays school_suspensions store_returns class_misses group_conflicts phone_texts
    code_errors key_strokes_missed records_opened member_referrals invoice_disputes site_accidents
    """
)
BIRTHS = words(
    """
    mother_birth_year YOB yr_born year_of_construction yearBuilt vintage_year
    """
)
IDENTIFIERS = words(
    """
    client_no orderID invoiceId customer_id CaseNo patient_number subjectID Participant_ID
    respondentid user student_no employee_id staff_id EmployeeNumber membership_no household_no
    person_id house_id visit_id encounter_id claim_id claim_number product_key session_id
    row_number record_number sample_no account_id uid ID id_cliente id_number MRN_id donor_id
    animal_id school_id_number case_id
    """
)
CODES = words(
    """
    ZipCode zip plz_wohnort Postleitzahl postal_code_home fips_code county_id state_fips city_code
    region_id job_code sector_code branch_code site_code dept_code department_code clinic_id
    teacher_id class_id group_id type_code category_code treatment_code species_code country_id
    province_code
    """
)


def values_of(what, rng):
    """Return numbers as they are in columns of these names."""
    if what is AMOUNTS:
        return rng.lognormal(*[(10.8, 0.4), (5.0, 0.6)][rng.integers(2)], N).round()
    if what is AGES:
        return rng.normal(50, 14, N).round().clip(18, 95)
    if what is SCORES:
        of = (rng.integers(0, 101, N), rng.normal(60, 12, N).round(), rng.integers(1, 21, N))
        return of[rng.integers(3)]
    if what is COUNTS:
        return rng.negative_binomial(2, 0.2, N)
    if what is BIRTHS:
        return rng.integers(1930, 2005, N)
    if what is IDENTIFIERS:
        several = np.repeat(rng.choice(9000, N // 3, replace=False) + 1000, 3)
        once = rng.choice(10 * N, N, replace=False) + 10_000
        return [several, once, rng.permutation(N) + 1, np.arange(N) * 7 + 100][rng.integers(4)]
    postal, areas = rng.integers(10_000, 99_999, 400), rng.choice(900, 25, replace=False) + 100
    return [rng.choice(postal, N), rng.choice(areas, N), rng.integers(1, 9, N)][rng.integers(3)]


def test_names_of_measurements_and_of_identifiers_with_such_values():
    rng = np.random.default_rng(20)
    wrong = []
    for what in (AMOUNTS, AGES, SCORES, COUNTS, BIRTHS, IDENTIFIERS, CODES):
        for name in what:
            kind = kinds_of(pd.DataFrame({name: values_of(what, rng)}), {})[name].kind
            if (kind in ("exclude", "categorical")) != (what is IDENTIFIERS or what is CODES):
                wrong.append((name, kind))
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize(
    "name", ["household_income", "order_value", "price_index", "case_value", "key_rate", "date_x"]
)
def test_a_name_leaves_out_no_numbers_that_repeat_and_have_a_spread(name):
    rng = np.random.default_rng(1)
    counts = rng.negative_binomial(2, 0.1, N)
    for values in (rng.integers(0, 60, N), counts, 5 * rng.integers(1, 40, N)):
        kind = kinds_of(pd.DataFrame({name: values}), {})[name].kind
        assert kind in ("continuous", "counts")


@pytest.mark.parametrize(
    ("name", "words", "heads"),
    [
        ("patient.ID", ("patient", "id"), {"id"}),
        ("userid", ("user", "id"), {"id"}),
        ("valid", ("valid",), {"valid"}),
        ("age_at_visit", ("age", "at", "visit"), {"age"}),
        ("Codigo_Postal", ("codigo", "postal"), {"codigo", "postal"}),
        ("Année", ("annee",), {"annee"}),
    ],
)
def test_the_head_of_a_name_comes_before_prepositions(name, words, heads):
    hint = hint_of(name)
    assert (hint.words, hint.heads) == (words, heads)


def test_two_groups_of_incomes_are_found_whatever_their_name():
    rng = np.random.default_rng(5)
    z = rng.integers(0, 2, 240)
    income = rng.lognormal(np.where(z, 10.2, 11.4), 0.15).round().astype(int)
    frame = pd.DataFrame({"household_income": income, "a": rng.normal(size=240)})
    found = [
        bm.select(each, (1, 2, 3), random_state=0).n_clusters_
        for each in (frame, frame.rename(columns={"household_income": "income"}))
    ]
    assert found == [2, 2]


def test_what_is_overruled_is_what_was_left_out():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(
        {
            "visits": rng.negative_binomial(1, 0.15, N),
            "region": rng.integers(1, 7, N),
            "order_id": rng.permutation(N) * 3,
            "x": rng.normal(size=N),
        }
    )
    said = coded(frame)[1].guesses()
    assert said.endswith("; to overrule, set columns={'order_id': 'continuous'}")
    said = coded(frame.drop(columns="order_id"))[1].guesses()
    assert said.endswith("; to overrule, set columns={'visits': 'continuous'}")


def test_what_is_read_as_continuous_is_not_overruled_by_continuous():
    times = [f"{i % 5}:{i % 60:02d}:{i % 59:02d}" for i in range(120)]
    frame = pd.DataFrame({"run": times, "x": np.random.default_rng(8).normal(size=120)})
    said = coded(frame, {})[1].guesses()
    assert said.endswith("; to overrule, set columns={'run': 'exclude'}")
